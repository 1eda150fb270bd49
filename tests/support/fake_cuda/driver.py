"""The fake driver as a test sees it: what was called and done, errors on request, work in a stream's order."""

import ctypes
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Literal

_WORK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p)


class CudaError(IntEnum):
    """Errors of the driver, by their numbers in cuda.h."""

    INVALID_VALUE = 1
    OUT_OF_MEMORY = 2
    NOT_INITIALIZED = 3
    NO_DEVICE = 100
    INVALID_CONTEXT = 201
    NOT_READY = 600
    ILLEGAL_ADDRESS = 700
    LAUNCH_FAILED = 719


@dataclass(frozen=True, kw_only=True, slots=True)
class Call:
    """One call of the driver, or one operation that it has done; ``result`` is 0 or the error's number."""

    name: str  # as cuda.h writes it, without the version that the symbol carries
    arguments: dict[str, int]
    result: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Left:
    """What is allocated and not freed."""

    count: int
    bytes: int


class FakeDriver:
    """The fake driver of this process."""

    def __init__(self) -> None:
        """Load the driver, also for what is loaded after it.

        Raises:
            RuntimeError: This process finds another driver.
        """
        library = ctypes.CDLL("libcuda.so.1", mode=ctypes.RTLD_GLOBAL)
        if not hasattr(library, "fake_log"):
            raise RuntimeError("expected the fake driver, found another; start the process with cases.environment()")
        library.fake_log.restype = library.fake_violations.restype = ctypes.c_char_p
        library.fake_pending.restype = ctypes.c_uint64
        library.fake_set_memory.argtypes = [ctypes.c_size_t]
        library.fake_enqueue.argtypes = [ctypes.c_uint64, _WORK, ctypes.c_void_p]
        self._library = library
        self._held: list[Any] = []  # functions that the driver may still call
        self.failures: list[Exception] = []  # what enqueued functions raised

    def calls(self, name: str | None = None) -> list[Call]:
        """Return the calls since the last reset, in order; of one function where ``name`` says which."""
        return self._entries("call", name)

    def work(self, name: str | None = None) -> list[Call]:
        """Return the operations that were done, in the order in which they were done."""
        return self._entries("work", name)

    def violations(self) -> list[str]:
        """Return what was done that a real device would have answered by chance."""
        return str(self._library.fake_violations().decode()).splitlines()

    def pending(self) -> int:
        """Return how many operations wait to be done."""
        return int(self._library.fake_pending())

    def left(self, kind: Literal["device", "page_locked"]) -> Left:
        """Return the memory that is allocated and not freed."""
        count, size = ctypes.c_uint64(), ctypes.c_uint64()
        self._library.fake_left(int(kind == "device"), ctypes.byref(count), ctypes.byref(size))
        return Left(count=count.value, bytes=size.value)

    def request_error(self, name: str, error: CudaError, first: int = 1, calls: int = 1) -> None:
        """Let the ``first`` call of ``name`` from now on give ``error``, and ``calls`` in all (-1: all of them)."""
        self._library.fake_request_error(name.encode(), int(error), first, calls)

    def enqueue(self, stream: int, function: Callable[[], None]) -> None:
        """Enqueue ``function`` as a kernel would be; what it raises is kept, and the stream fails.

        Raises:
            RuntimeError: The driver refused it.
        """

        def run(_: int | None) -> int:
            try:
                function()
            except Exception as error:  # noqa: BLE001 - nothing may pass through the driver; the test reads it
                self.failures.append(error)
                return CudaError.LAUNCH_FAILED
            return 0

        work = _WORK(run)
        self._held.append(work)
        result = self._library.fake_enqueue(stream, work, None)
        if result:
            raise RuntimeError(f"expected the driver to take the work, got error {result}")

    def set_eager(self, is_eager: bool) -> None:
        """Let work be done when it is enqueued, or when somebody waits for it, which is how the driver begins."""
        self._library.fake_set_eager(int(is_eager))

    def set_memory(self, size: int) -> None:
        """Let the device have ``size`` bytes; it begins with 2**30."""
        self._library.fake_set_memory(size)

    def reset(self) -> None:
        """Forget calls, work, violations, requested errors and a device's failure; memory and streams stay."""
        self._library.fake_reset()
        self.failures.clear()
        self.set_eager(False)
        self.set_memory(2**30)

    def _entries(self, kind: str, name: str | None) -> list[Call]:
        lines = (line.split(" ") for line in self._library.fake_log().decode().splitlines())
        entries = [_entry(words) for words in lines if words[0] == kind]
        return [entry for entry in entries if name in (None, entry.name)]


def _entry(words: list[str]) -> Call:
    """Return the entry of a line ``kind name key=value ... -> result``."""
    _, name, *arguments, _, result = words
    pairs = (argument.split("=") for argument in arguments)
    return Call(name=name, arguments={key: int(value) for key, value in pairs}, result=int(result))
