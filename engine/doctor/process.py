"""Calls in a process of their own: a library that crashes or hangs there is an answer, not the end of the doctor."""

import multiprocessing
import os
import signal
import tempfile
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from purecert.engine.doctor.machine import UnusableError
from purecert.engine.errors import PurecertError

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")

_TELLING = 300  # characters of what a library wrote that are worth a line


class DiedError(Exception):
    """The process ended without an answer."""

    def __init__(self, reason: str, *, signal_name: str | None = None, timed_out: bool = False) -> None:
        super().__init__(reason)
        self.reason, self.signal_name, self.timed_out = reason, signal_name, timed_out


def ask(
    seconds: float, function: Callable[Arguments, Result], *arguments: Arguments.args, **options: Arguments.kwargs
) -> Result:
    """Return what ``function`` returns in a fresh process, whose output nobody sees; all must be picklable.

    Raises:
        UnusableError: As the function does.
        PurecertError: As the function does.
        DiedError: The process crashed, ended otherwise, or did not answer within ``seconds``.
    """
    context = multiprocessing.get_context("spawn")  # a fork would inherit our threads
    receiver, sender = context.Pipe(duplex=False)
    with tempfile.TemporaryDirectory() as folder:
        said = Path(folder) / "said"
        said.touch()
        process = context.Process(target=_answer, args=(sender, said, function, arguments, options))
        process.start()
        sender.close()
        try:
            is_result, answer = _received(receiver, process, seconds, said)
        finally:
            process.kill()
            process.join()
            receiver.close()
    if not is_result:
        raise answer
    result: Result = answer
    return result


def _received(receiver: Connection, process: BaseProcess, seconds: float, said: Path) -> tuple[bool, Any]:
    if not receiver.poll(seconds):
        raise DiedError(f"no answer within {seconds:.1f} s", timed_out=True)
    try:
        is_result, answer = receiver.recv()
    except EOFError:
        process.join()
        raise _death(process.exitcode or 0, _last_line(said)) from None
    return is_result, answer


def _answer(sender: Connection, said: Path, function: Callable[..., Any], arguments: Any, options: Any) -> None:
    # The runtimes write to both streams at will, and the command's own output may be read by a program.
    with said.open("wb") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    try:
        answer = (True, function(*arguments, **options))
    except (UnusableError, PurecertError) as error:
        answer = (False, error)
    sender.send(answer)


def _death(exit_code: int, last_line: str) -> DiedError:
    if exit_code < 0:
        name = signal.Signals(-exit_code).name
        return DiedError(f"it crashed with {name}" + (f" ({last_line})" if last_line else ""), signal_name=name)
    return DiedError(last_line or f"its process ended with exit code {exit_code}")


def _last_line(said: Path) -> str:
    lines = said.read_text("utf-8", "replace").split("\n")
    printable = ["".join(c for c in line if c.isprintable()).strip() for line in lines]
    return next((line[:_TELLING] for line in reversed(printable) if line), "")
