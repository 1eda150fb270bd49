"""A stream of a GPU through pycuda: memory, copies, events and captured graphs without PyTorch."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Any, final

import numpy as np
from numpy.typing import DTypeLike, NDArray

from purecert.engine.backends.device.array import DeviceArray, RawArray
from purecert.engine.backends.device.gpu_driver import capability_of, load_driver
from purecert.engine.backends.device.native import CudaKernels, cuda_kernels
from purecert.engine.backends.device.queue import DeviceQueue
from purecert.engine.backends.failures import device_failure
from purecert.engine.hardware import describe_cpu

_WARM_UPS = 3  # runs before a capture, in which runtimes choose their kernels and reserve memory
_log = logging.getLogger("purecert")


@final
class PycudaQueue(DeviceQueue):
    """A stream of the first GPU that this process sees, in the context that every CUDA library shares.

    pycuda frees what belongs to a context only on the thread that made it, so memory and events are kept here and
    freed by ``close``, on the thread that opened the queue.
    """

    def __init__(self, kernels: CudaKernels | None = None) -> None:
        """Take the GPU; ``kernels`` stand in for the GPU's build in tests.

        Raises:
            BackendError: pycuda is not installed, there is no GPU, or purecert was built without its kernels.
        """
        self._driver = load_driver()
        self._kernels = kernels or cuda_kernels()
        with self.failures():
            self._device = self._driver.Device(0)  # CUDA_VISIBLE_DEVICES says which one that is
            self._context = self._device.retain_primary_context()
        self._events: list[Any] = []  # waited for, and free for the next mark
        self._lock = Lock()
        self._allocations: list[Any] = []
        self._graphs: list[int] = []
        with self.failures(), self.entered():
            from pycuda.tools import PageLockedMemoryPool

            self._pool = PageLockedMemoryPool()
            # Not the default stream: a graph cannot be captured on it, and ONNX Runtime takes it for none.
            self._stream = self._driver.Stream()
            self._free_at_first = self._driver.mem_get_info()[0]
        self._least_free = self._free_at_first

    @property
    def kernels(self) -> CudaKernels:
        return self._kernels

    @property
    def handle(self) -> int:
        return int(self._stream.handle)

    @contextmanager
    def entered(self) -> Iterator[None]:
        self._context.push()
        try:
            yield
        finally:
            self._driver.Context.pop()

    @contextmanager
    def failures(self) -> Iterator[None]:
        try:
            yield
        except (self._driver.Error, RuntimeError) as error:  # our kernels' failures are RuntimeErrors
            raise device_failure("the GPU", error) from error

    def host_buffer(self, shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
        with self.entered():
            buffer: NDArray[Any] = self._pool.allocate(shape, np.dtype(dtype))
        return buffer

    def zeros(self, shape: tuple[int, ...], dtype: DTypeLike) -> RawArray:
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        with self.entered():
            allocation = self._driver.mem_alloc(size)
            self._allocations.append(allocation)
            array = RawArray(address=int(allocation), shape=shape, dtype=np.dtype(dtype), owner=allocation)
            self.clear(array)
            self._least_free = min(self._least_free, self._driver.mem_get_info()[0])
        return array

    def write(self, target: DeviceArray, source: NDArray[Any]) -> None:
        _check_copy(target, source)
        self._driver.memcpy_htod_async(target.address, source, self._stream)

    def read(self, target: NDArray[Any], source: DeviceArray) -> None:
        _check_copy(source, target)
        self._driver.memcpy_dtoh_async(target, source.address, self._stream)

    def clear(self, target: DeviceArray) -> None:
        self._driver.memset_d8_async(target.address, 0, target.nbytes, self._stream)

    def mark(self) -> Callable[[], None]:
        with self.entered():
            event = self._take_event()
            event.record(self._stream)

        def wait() -> None:
            with self.entered():
                event.synchronize()
            with self._lock:
                self._events.append(event)

        return wait

    def repeatable(self, enqueue: Callable[[], None]) -> Callable[[], None]:
        with self.entered():
            for _ in range(_WARM_UPS):
                enqueue()
            self._stream.synchronize()
            self.kernels.begin_capture(self.handle)
            try:
                enqueue()
            except BaseException:
                self._abandon_capture()
                raise
            graph = self.kernels.end_capture(self.handle)
        self._graphs.append(graph)
        return lambda: self.kernels.launch_captured(graph, self.handle)

    def memory_peak(self) -> int:
        """Return the most memory of the GPU that was taken since this queue was opened, by whatever process."""
        with self.failures(), self.entered():
            self._least_free = min(self._least_free, self._driver.mem_get_info()[0])
        return int(self._free_at_first - self._least_free)

    def hardware(self) -> str:
        return f"{self._device.name()} {self.capability}, {describe_cpu()}"

    @property
    def name(self) -> str:
        """Return the GPU's name."""
        return str(self._device.name())

    @property
    def capability(self) -> str:
        """Return the GPU's compute capability, such as ``"sm_90"``."""
        return capability_of(self._device)

    def versions(self) -> dict[str, str]:
        import pycuda

        driver = self._driver.get_driver_version()  # 13000 is 13.0
        return {"pycuda": pycuda.VERSION_TEXT, "cuda-driver": f"{driver // 1000}.{driver % 1000 // 10}"}

    def close(self) -> None:
        with self.failures(), self.entered():
            self._stream.synchronize()  # nothing may still read what is freed here
            for graph in self._graphs:
                self.kernels.free_captured(graph)
            self._events.clear()
            for allocation in self._allocations:
                allocation.free()
            self._graphs, self._allocations = [], []
            self._pool.free_held()
            self._pool.stop_holding()
            del self._stream, self._pool
        self._context.detach()

    def _take_event(self) -> Any:
        with self._lock:
            if self._events:
                return self._events.pop()
        flags = self._driver.event_flags
        # A blocking event puts the waiting thread to sleep; the default one would keep a processor busy.
        return self._driver.Event(flags.BLOCKING_SYNC | flags.DISABLE_TIMING)

    def _abandon_capture(self) -> None:
        """End a capture whose work failed; what it says now only repeats that."""
        try:
            self.kernels.free_captured(self.kernels.end_capture(self.handle))
        except RuntimeError as error:
            _log.debug("abandoned a capture: %s", error)


def _check_copy(device: DeviceArray, host: NDArray[Any]) -> None:
    """Refuse a copy of other sizes than the array's: pycuda copies as many bytes as the host's side has."""
    if host.nbytes != device.nbytes or not host.flags.c_contiguous:
        raise ValueError(f"expected {device.nbytes} contiguous bytes on the host, got {host.nbytes}")
