"""The failures that a user can meet, each with its exit code (one line on stderr, never a traceback)."""

from dataclasses import dataclass


class PurecertError(Exception):
    """A failure whose message says what was expected, what came and what to do."""

    exit_code = 2


class InputError(PurecertError):
    """Bad input or usage: a file, an option or a value that cannot be used."""

    exit_code = 2


class BackendError(PurecertError):
    """A backend is missing, unusable, or failed while it ran."""

    exit_code = 3


class CheckError(PurecertError):
    """A check failed: parity, row independence, verification."""

    exit_code = 4


class OutOfMemoryError(PurecertError):
    """Memory ran out; a smaller batch may fit."""

    exit_code = 5


class NotReproducedError(PurecertError):
    """A verification found nothing wrong, but reproduced no vote on the run's own engine: nothing is verified."""

    exit_code = 6


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """Why something cannot be used, and what to type or do about it."""

    reason: str
    remedy: str


class UnusableError(Exception):
    """A backend or a part of one cannot be used: what the doctor answers; no command ends with it."""

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(reason, remedy)
        self.problem = Problem(reason=reason, remedy=remedy)


def printable(text: str) -> str:
    """Return ``text`` with escapes for what would break or recolour a line: a folder's name may hold anything."""
    return text if text.isprintable() else ascii(text)[1:-1]


def one_line(error: Exception) -> str:
    """Return what a library's error says, its lines and the spaces between them joined by single spaces."""
    return " ".join(str(error).split())
