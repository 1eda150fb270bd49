"""What the native modules offer a device's queue: the batch kernels, and on a GPU the capture of a stream."""

from typing import Protocol, runtime_checkable

from purecert.engine.errors import BackendError


@runtime_checkable
class BatchKernels(Protocol):
    """The functions of ``purecert._kernels`` and ``purecert._cuda`` on raw addresses (kernels/src/batch_bindings.h)."""

    def fill_batch(
        self,
        *,
        table: tuple[int, int, int],
        thresholds: int,
        map: int,
        images: int,
        seed: int,
        purpose: int,
        shape: tuple[int, int, int],
        channels_last: bool,
        element: str,
        out: int,
        stream: int,
    ) -> None:
        """Write the noise of the map's next batch."""

    def count_votes(self, *, map: int, labels: int, rows: int, classes: int, counts: int, stream: int) -> None:
        """Add the votes of the map's next batch and move the map on."""


@runtime_checkable
class CudaKernels(BatchKernels, Protocol):
    """The functions of ``purecert._cuda``."""

    def begin_capture(self, stream: int) -> None:
        """Record what this thread enqueues on the stream from here on, instead of doing it."""

    def end_capture(self, stream: int) -> int:
        """End the recording; return the handle of the CUDA graph made of it."""

    def launch_captured(self, graph: int, stream: int) -> None:
        """Enqueue the whole of a captured graph on the stream."""

    def free_captured(self, graph: int) -> None:
        """Free a captured graph."""


def host_kernels() -> BatchKernels:
    """Return the host's build of the batch kernels.

    Raises:
        BackendError: purecert was built without it.
    """
    try:
        import purecert._kernels as kernels
    except ImportError as error:
        raise _absent("cpu", "with a C++17 compiler", error) from error
    return kernels


def cuda_kernels() -> CudaKernels:
    """Return the GPU's build of the batch kernels; as ``host_kernels``."""
    try:
        import purecert._cuda as kernels
    except ImportError as error:
        raise _absent("cuda", "with PURECERT_CUDA=on where nvcc is on the path", error) from error
    return kernels


def _absent(device: str, remedy: str, error: ImportError) -> BackendError:
    return BackendError(f"purecert was built without its kernels for {device} ({error}); reinstall it {remedy}")
