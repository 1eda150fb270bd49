"""A device's queue of work: what differs between a GPU and the host."""

import gc
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, final

import torch
from torch import Tensor

from purecert.engine.errors import BackendError
from purecert.engine.hardware import describe_cpu

_WARM_UPS = 3  # runs before a capture, in which libraries choose their kernels and reserve memory


class DeviceQueue(ABC):
    """Work is enqueued in order and done in that order, while the host goes on."""

    device: torch.device

    @property
    @abstractmethod
    def handle(self) -> int:
        """Return the raw handle that kernels are launched with."""

    @abstractmethod
    def host_buffer(self, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        """Return memory of the host that the device can copy from and to while the host goes on."""

    @abstractmethod
    def entered(self) -> Any:
        """Return a context in which torch enqueues here."""

    @abstractmethod
    def mark(self) -> Callable[[], None]:
        """Return a function that waits until everything enqueued so far is done."""

    @abstractmethod
    def finish(self) -> None:
        """Wait for all of the device's work, also what was not enqueued here, and count memory from here on."""

    @abstractmethod
    def repeatable(self, enqueue: Callable[[], None]) -> Callable[[], None]:
        """Return a function that enqueues the same work again, at as little cost for the host as the device allows."""

    @abstractmethod
    def memory_peak(self) -> int | None:
        """Return the bytes of the device's own memory that torch held at most so far."""

    @abstractmethod
    def hardware(self) -> str:
        """Return what computes, in words that tell two machines' results apart."""

    @abstractmethod
    def versions(self) -> dict[str, str]:
        """Return package -> version of what computes."""

    @abstractmethod
    def compiled_for(self) -> dict[str, int]:
        """Return what a compiled program depends on beside hardware and versions."""


@final
class CudaQueue(DeviceQueue):
    """A stream of a GPU."""

    def __init__(self) -> None:
        """Take the first GPU that this process sees.

        Raises:
            BackendError: There is none that PyTorch can use.
        """
        if not torch.cuda.is_available():
            built = f"built for CUDA {torch.version.cuda}" if torch.version.cuda else "a build without CUDA"
            raise BackendError(
                f"backend torch-cuda needs a GPU, and PyTorch {torch.__version__} ({built}) finds none; "
                "check the driver with nvidia-smi, or choose another --backend"
            )
        self.device = torch.device("cuda", 0)  # CUDA_VISIBLE_DEVICES says which one that is
        # Not the default stream, with which every other one would synchronise.
        self._stream = torch.cuda.Stream(self.device)  # type: ignore[no-untyped-call]

    @property
    def handle(self) -> int:
        return int(self._stream.cuda_stream)

    def host_buffer(self, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        return torch.empty(shape, dtype=dtype, pin_memory=True)

    def entered(self) -> Any:
        return torch.cuda.stream(self._stream)

    def mark(self) -> Callable[[], None]:
        # A blocking event puts the waiting thread to sleep; the default one would keep a processor busy.
        event = torch.cuda.Event(blocking=True)  # type: ignore[no-untyped-call]
        event.record(self._stream)
        return event.synchronize

    def finish(self) -> None:
        torch.cuda.synchronize(self.device)
        gc.collect()
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(self.device)

    def repeatable(self, enqueue: Callable[[], None]) -> Callable[[], None]:
        with self.entered():
            for _ in range(_WARM_UPS):
                enqueue()
        self._stream.synchronize()
        graph = torch.cuda.CUDAGraph()
        with _no_collection(), torch.cuda.graph(graph, stream=self._stream, capture_error_mode="thread_local"):
            enqueue()
        return graph.replay

    def memory_peak(self) -> int | None:
        return torch.cuda.max_memory_reserved(self.device)

    def hardware(self) -> str:
        properties = torch.cuda.get_device_properties(self.device)
        architecture = f"sm_{properties.major}{properties.minor}"
        return f"{properties.name} {architecture}, {describe_cpu()}"

    def versions(self) -> dict[str, str]:
        cudnn = torch.backends.cudnn.version()  # type: ignore[no-untyped-call]
        return {"torch": torch.__version__, "cuda": str(torch.version.cuda), "cudnn": str(cudnn)}

    def compiled_for(self) -> dict[str, int]:
        return {}


@final
class HostQueue(DeviceQueue):
    """The host's own processors: everything is done when it is enqueued."""

    device = torch.device("cpu")

    def __init__(self, threads: int = 1) -> None:
        """Take ``threads`` processors, in the whole process."""
        torch.set_num_threads(threads)
        self._threads = threads

    @property
    def handle(self) -> int:
        return 0

    def host_buffer(self, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        return torch.empty(shape, dtype=dtype)

    @contextmanager
    def entered(self) -> Iterator[None]:
        yield

    def mark(self) -> Callable[[], None]:
        return lambda: None

    def finish(self) -> None:
        pass

    def repeatable(self, enqueue: Callable[[], None]) -> Callable[[], None]:
        return enqueue

    def memory_peak(self) -> int | None:
        return None

    def hardware(self) -> str:
        return describe_cpu()

    def versions(self) -> dict[str, str]:
        return {"torch": torch.__version__}

    def compiled_for(self) -> dict[str, int]:
        return {"threads": self._threads}


@contextmanager
def _no_collection() -> Iterator[None]:
    """Keep the garbage collector from freeing the GPU's memory in a capture, which would end it."""
    gc.collect()
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
