"""What to raise where a runtime or a device fails: the runtimes say it in words, not in types."""

from collections.abc import Iterator
from contextlib import contextmanager

from purecert.engine.errors import BackendError, OutOfMemoryError, PurecertError


def batch_failure(runtime: str, error: Exception) -> PurecertError:
    """Return what to raise where ``runtime`` failed on a batch."""
    return device_failure(runtime, error, " on a batch")


def device_failure(device: str, error: Exception, where: str = "") -> PurecertError:
    """Return what to raise for the ``error`` of a ``device``; ``where`` says at which work, if that is known."""
    if is_out_of_memory(error):
        return OutOfMemoryError(f"{device} ran out of memory{where}; try a smaller --batch: {error}")
    return BackendError(f"{device} failed{where}: {error}")


def is_out_of_memory(error: Exception) -> bool:
    """Whether memory ran out, by the words of the error: runtimes have no type for it in common."""
    words = f"{type(error).__name__} {error}".lower()
    return any(sign in words for sign in ("memoryerror", "alloc", "out of memory"))


@contextmanager
def pytorch_failures() -> Iterator[None]:
    """Raise a RuntimeError, as PyTorch raises where a batch or a device fails, as ``batch_failure``."""
    try:
        yield
    except RuntimeError as error:
        raise batch_failure("PyTorch", error) from error
