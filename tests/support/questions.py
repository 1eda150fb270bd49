"""Functions that answer, fail, crash or hang, to be called in a process of their own."""

import ctypes
import os
import sys
import time

from purecert.engine.errors import BackendError, UnusableError


def noisy() -> int:
    """Write to both streams and return this process's id."""
    os.write(1, b"chatter\n")
    os.write(2, b"more of it\n")
    return os.getpid()


def unusable() -> None:
    """Raise what the doctor's own checks raise."""
    raise UnusableError("it is broken", "mend it")


def failing() -> None:
    """Raise what a backend raises."""
    raise BackendError("it failed; do something")


def segfault() -> None:
    """Say something and read from address 0."""
    os.write(2, b"something went wrong in a driver\n")
    ctypes.string_at(0)


def unexpected() -> None:
    """Raise what nobody expects."""
    raise OSError("libmissing.so.9: cannot open shared object file")


def silent() -> None:
    """End without an answer."""
    sys.exit(7)


def hanging() -> None:
    """Take longer than anybody waits."""
    time.sleep(3600)
