"""What to raise where a runtime or a device fails: the runtimes say it in words, not in types."""

from collections.abc import Iterator
from contextlib import contextmanager

from purecert.engine.errors import BackendError, OutOfMemoryError, PurecertError


def batch_failure(runtime: str, error: Exception) -> PurecertError:
    """Return what to raise where ``runtime`` failed on a batch; the runtimes tell of memory in words only."""
    return device_failure(runtime, error, " on a batch")


def device_failure(device: str, error: Exception, where: str = "") -> PurecertError:
    """Return what to raise where ``device`` failed at whatever it was told."""
    if is_out_of_memory(error):
        return OutOfMemoryError(f"{device} ran out of memory{where}; try a smaller --batch: {error}")
    return BackendError(f"{device} failed{where}: {error}")


def is_out_of_memory(error: Exception) -> bool:
    """Whether memory ran out, as far as the words of a runtime tell."""
    words = f"{type(error).__name__} {error}".lower()
    return any(sign in words for sign in ("memoryerror", "alloc", "out of memory"))


@contextmanager
def pytorch_failures() -> Iterator[None]:
    """Raise what PyTorch says of a batch or a device, which it does in a RuntimeError, as ``batch_failure``."""
    try:
        yield
    except RuntimeError as error:
        raise batch_failure("PyTorch", error) from error
