"""Work in a process of its own, so that peak memory, allocators and thread settings belong to one row alone."""

import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from purecert.engine.errors import BackendError, OutOfMemoryError
from purecert.engine.own_process import DiedError, call

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")

_STATUS = Path("/proc/self/status")
_NO_MEMORY = "memory ran out; a smaller --batch may fit"


def in_own_process(
    function: Callable[Arguments, Result], *arguments: Arguments.args, **options: Arguments.kwargs
) -> Result:
    """Return ``function(*arguments, **options)`` as a fresh process computes it; all of it must be picklable.

    Raises:
        PurecertError: As the function does.
        BackendError: The process crashed.
        OutOfMemoryError: Memory ran out, or the system killed the process.
    """
    try:
        result: Result = call(_work, function, arguments, options)
    except DiedError as death:
        raise _failure(death) from None
    return result


def peak_memory() -> int:
    """Return the most memory that this process has held at once (resident set), in bytes."""
    if _STATUS.exists():  # on Linux ru_maxrss of a spawned process starts at its parent's
        for line in _STATUS.read_text("ascii", "replace").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    import resource

    largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return largest if sys.platform == "darwin" else largest * 1024


def _work(function: Callable[..., Any], arguments: tuple[Any, ...], options: dict[str, Any]) -> Any:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the parent too, which ends this process
    try:
        return function(*arguments, **options)
    except MemoryError as error:
        raise OutOfMemoryError(_NO_MEMORY) from error


def _failure(death: DiedError) -> Exception:
    """Return what to raise for a process that gave no answer."""
    if death.signal_name == signal.Signals.SIGKILL.name:
        return OutOfMemoryError("the system killed the process, most likely for its memory; try a smaller --batch")
    if death.signal_name is not None:
        return BackendError(f"the process crashed with {death.signal_name}")
    return RuntimeError(f"{death.reason}; its traceback is above")
