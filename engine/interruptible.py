"""Calls that Ctrl-C stops waiting for at once, since what they are in cannot be interrupted.

A batch of a large network takes seconds inside of a runtime, and Python hears a signal only when that returns. So
another thread makes such a call, and the one that hears signals waits for it.
"""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any, TypeVar, final

_HEARING_SECONDS = 0.2  # between two looks for a signal, on systems where waiting does not end at one
_PATIENCE_SECONDS = 0.2  # for the last call, where an earlier one is under way

_Result = TypeVar("_Result")
_under_way: set[Future[Any]] = set()


def calls_under_way() -> int:
    """Return how many calls go on for which nothing waits; the process must not be torn down around them."""
    return sum(not call.done() for call in _under_way.copy())


@final
class Calls:
    """A thread that makes calls one after another."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="purecert-calls")

    def run(self, call: Callable[[], _Result]) -> _Result:
        """Return what ``call`` returns; raise what it raises, or KeyboardInterrupt while it goes on."""
        made = self._made(call)
        while not made.done():
            wait([made], timeout=_HEARING_SECONDS)
        return made.result()

    def end(self, last: Callable[[], None]) -> None:
        """Make one more call when the one that may be under way is done, and wait for both a moment only."""
        made = self._made(last)
        self._thread.shutdown(wait=False)
        wait([made], timeout=_PATIENCE_SECONDS)

    def _made(self, call: Callable[[], _Result]) -> Future[_Result]:
        made = self._thread.submit(call)
        _under_way.add(made)
        made.add_done_callback(_under_way.discard)
        return made
