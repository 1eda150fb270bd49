"""A device's queue of work: what differs between drivers, and between a GPU and the host."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from purecert.engine.backends.device.array import DeviceArray
from purecert.engine.backends.device.native import BatchKernels


class DeviceQueue(ABC):
    """Work is enqueued in order and done in that order, while the host goes on."""

    @property
    @abstractmethod
    def kernels(self) -> BatchKernels:
        """Return the build of the batch kernels that runs here."""

    @property
    @abstractmethod
    def handle(self) -> int:
        """Return the raw handle that kernels and runtimes are launched with."""

    @abstractmethod
    def entered(self) -> AbstractContextManager[Any]:
        """Return a context in which this thread's work goes to this device and queue."""

    @abstractmethod
    def failures(self) -> AbstractContextManager[Any]:
        """Return a context that raises what the driver or runtime says as a BackendError or OutOfMemoryError."""

    @abstractmethod
    def host_buffer(self, shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
        """Return memory of the host that the device can copy from and to while the host goes on."""

    @abstractmethod
    def zeros(self, shape: tuple[int, ...], dtype: DTypeLike) -> DeviceArray:
        """Return memory of the device, cleared before later work here."""

    @abstractmethod
    def write(self, target: DeviceArray, source: NDArray[Any]) -> None:
        """Enqueue a copy to the device; ``source`` (a ``host_buffer``) must live and stay as it is until then."""

    @abstractmethod
    def read(self, target: NDArray[Any], source: DeviceArray) -> None:
        """Enqueue a copy from the device to ``target``, a ``host_buffer``."""

    @abstractmethod
    def clear(self, target: DeviceArray) -> None:
        """Enqueue zeros."""

    @abstractmethod
    def mark(self) -> Callable[[], None]:
        """Return a function that waits, on any thread, until everything enqueued so far is done."""

    @abstractmethod
    def repeatable(self, enqueue: Callable[[], None]) -> Callable[[], None]:
        """Return a function that enqueues the same work again, at as little cost for the host as the device allows."""

    @abstractmethod
    def memory_peak(self) -> int | None:
        """Return the bytes of the device's own memory that were held at most; None where it has none."""

    @abstractmethod
    def hardware(self) -> str:
        """Return what computes, in words that tell two machines' results apart."""

    @abstractmethod
    def versions(self) -> dict[str, str]:
        """Return package or driver -> version of what enqueues here."""

    @abstractmethod
    def close(self) -> None:
        """Give the device back, once all arrays are gone."""

    def upload(self, source: NDArray[Any]) -> DeviceArray:
        """Return a copy of ``source`` in the device's memory; it is there when this returns."""
        staged = self.host_buffer(source.shape, source.dtype)
        np.copyto(staged, source)
        with self.entered():
            target = self.zeros(source.shape, source.dtype)
            self.write(target, staged)
        self.mark()()
        return target

    def download(self, source: DeviceArray) -> NDArray[Any]:
        """Return a copy of ``source`` on the host, after all work enqueued before."""
        target = self.host_buffer(source.shape, source.dtype)
        with self.entered():
            self.read(target, source)
        self.mark()()
        return target.copy()
