"""PyTorch's queues: a stream of a GPU, and the host's own processors."""

import gc
from abc import abstractmethod
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, final

import numpy as np
import torch
from numpy.typing import DTypeLike, NDArray

from purecert.engine.backends.device.array import DeviceArray
from purecert.engine.backends.device.native import BatchKernels, cuda_kernels, host_kernels
from purecert.engine.backends.device.queue import DeviceQueue
from purecert.engine.backends.failures import pytorch_failures
from purecert.engine.backends.torch.array import TorchArray, torch_dtype
from purecert.engine.errors import BackendError
from purecert.engine.hardware import describe_cpu

_WARM_UPS = 3  # runs before a capture, in which libraries choose their kernels and reserve memory


class TorchQueue(DeviceQueue):
    """Where PyTorch enqueues; arrays are tensors, so that compiled programs take them as they are."""

    device: torch.device

    @abstractmethod
    def finish(self) -> None:
        """Wait for all of the device's work, also what was not enqueued here, and count memory from here on."""

    @abstractmethod
    def compiled_for(self) -> dict[str, int]:
        """Return what a compiled program depends on beside hardware and versions."""

    def failures(self) -> AbstractContextManager[None]:
        return pytorch_failures()

    def zeros(self, shape: tuple[int, ...], dtype: DTypeLike) -> TorchArray:
        with self.entered():
            return TorchArray(torch.zeros(shape, dtype=torch_dtype(np.dtype(dtype)), device=self.device))

    def write(self, target: DeviceArray, source: NDArray[Any]) -> None:
        _tensor(target).copy_(torch.from_numpy(source), non_blocking=True)

    def read(self, target: NDArray[Any], source: DeviceArray) -> None:
        torch.from_numpy(target).copy_(_tensor(source), non_blocking=True)

    def clear(self, target: DeviceArray) -> None:
        _tensor(target).zero_()

    def upload(self, source: NDArray[Any]) -> TorchArray:
        # A copy and no kernel of PyTorch's: benchmarks/gpu/sanitize.py checks the kernels that run here.
        with self.entered():
            return TorchArray(torch.from_numpy(source).to(self.device, copy=True))

    def close(self) -> None:
        pass  # PyTorch keeps device and stream for the whole process


@final
class CudaQueue(TorchQueue):
    """A stream of a GPU."""

    def __init__(self) -> None:
        """Take the first GPU that this process sees.

        Raises:
            BackendError: There is none that PyTorch can use, or purecert was built without its kernels.
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
        self._kernels = cuda_kernels()

    @property
    def kernels(self) -> BatchKernels:
        return self._kernels

    @property
    def handle(self) -> int:
        return int(self._stream.cuda_stream)

    def host_buffer(self, shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
        pinned = torch.empty(shape, dtype=torch_dtype(np.dtype(dtype)), pin_memory=True)
        return np.asarray(pinned.numpy())

    def entered(self) -> AbstractContextManager[Any]:
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
class HostQueue(TorchQueue):
    """The host's own processors: everything is done when it is enqueued."""

    device = torch.device("cpu")

    def __init__(self, threads: int = 1) -> None:
        """Take ``threads`` processors, in the whole process.

        Raises:
            BackendError: purecert was built without its kernels.
        """
        torch.set_num_threads(threads)
        self._threads, self._kernels = threads, host_kernels()

    @property
    def kernels(self) -> BatchKernels:
        return self._kernels

    @property
    def handle(self) -> int:
        return 0

    def host_buffer(self, shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
        return np.empty(shape, dtype)

    def entered(self) -> AbstractContextManager[Any]:
        return nullcontext()

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


def _tensor(array: DeviceArray) -> torch.Tensor:
    if not isinstance(array, TorchArray):
        raise TypeError(f"expected an array of PyTorch, got {type(array).__name__}")
    return array.tensor
