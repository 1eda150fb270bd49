"""Work in a process of its own, so that peak memory, allocators and thread settings belong to one row alone."""

import multiprocessing
import signal
import sys
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from purecert.engine.errors import BackendError, OutOfMemoryError, PurecertError

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")

_GRACE_SECONDS = 30
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
    context = multiprocessing.get_context("spawn")  # a fork would inherit our memory and threads
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_answer, args=(sender, function, arguments, options))
    process.start()
    sender.close()
    try:
        is_result, answer = receiver.recv()
        process.join(_GRACE_SECONDS)  # what the process holds of the system, it hands back when it ends by itself
    except EOFError:
        process.join()
        raise _death(process.exitcode or 0) from None
    finally:
        process.kill()
        process.join()
    if not is_result:
        raise answer
    result: Result = answer
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


def _answer(sender: Connection, function: Callable[..., Any], arguments: Any, options: Any) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the parent too, which ends this process
    try:
        answer = (True, function(*arguments, **options))
    except PurecertError as error:
        answer = (False, error)
    except MemoryError:
        answer = (False, OutOfMemoryError(_NO_MEMORY))
    sender.send(answer)


def _death(exit_code: int) -> Exception:
    """Return what to raise for a process that sent nothing."""
    if exit_code == -signal.SIGKILL:
        return OutOfMemoryError("the system killed the process, most likely for its memory; try a smaller --batch")
    if exit_code < 0:
        return BackendError(f"the process crashed with {signal.Signals(-exit_code).name}")
    return RuntimeError(f"a measuring process ended with exit code {exit_code}; its traceback is above")
