"""Whatever PyTorch, its exporter or a network raises, as one line with what to do."""

import textwrap
from collections.abc import Iterator
from contextlib import contextmanager

from purecert.engine.backends.failures import is_out_of_memory
from purecert.engine.errors import BackendError, InputError, OutOfMemoryError, PurecertError

_MAX_CHARACTERS = 300  # an exporter's message holds whole programs and stack traces


@contextmanager
def refusing(expected: str, way_out: str) -> Iterator[None]:
    """Raise what is raised inside as an InputError of one line, a failure with a message of purecert's own as it is.

    Args:
        expected: What the network should have been, after "expected".
        way_out: What to do.

    Raises:
        InputError: Something failed.
        OutOfMemoryError: Memory ran out.
    """
    try:
        yield
    except (PurecertError, MemoryError):
        raise
    except Exception as error:  # a network is anybody's code, and the exporter's errors share no base class
        if is_out_of_memory(error):
            raise OutOfMemoryError(f"memory ran out in the export ({_one_line(error)}); free some") from error
        raise InputError(f"expected {expected}, got {_one_line(error)}; {way_out}") from error


@contextmanager
def needing(what: str, extra: str) -> Iterator[None]:
    """Let ``what`` need a package that ``extra`` of purecert installs, and imports inside find it or not.

    Raises:
        BackendError: It is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        raise BackendError(
            f"{what} needs the package {error.name}, which is not installed; run: pip install 'purecert[{extra}]'"
        ) from error


def _one_line(error: BaseException) -> str:
    """Return the type and message of what ``error`` came of: an exporter wraps it in reports of many pages."""
    while error.__cause__ is not None:
        error = error.__cause__
    message = textwrap.shorten(str(error), _MAX_CHARACTERS, placeholder=" ...")  # which joins lines too
    return f"{type(error).__name__}: {message or 'no message'}"
