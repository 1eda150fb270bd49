"""Calls in a process of their own: a library that crashes or hangs there is an answer, not the end of the caller.

A process that hangs inside the kernel, as a broken driver makes it, dies of no signal. So ``ask`` has no wait without
an end, and shares none of its own streams with the process: who reads them would wait for it too. For the same reasons
it is not of the package multiprocessing, which waits for its processes when Python exits.
"""

import json
import math
import os
import pickle
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from purecert.engine.errors import PurecertError, UnusableError

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")

RESTART = "restart the machine: sudo reboot"

_TELLING = 300  # characters of what a library wrote that are worth a line
_POLL = 0.05  # seconds from one look for an answer to the next
_LEAVING = 30.0  # seconds in which a process that has answered hands back what it holds, and ends by itself
_GRACE = 2.0  # seconds in which a killed process frees the memory of a GPU
_QUESTION, _ANSWER, _SAID = "question", "answer", "said"
# The path comes first, so that what is imported is what this process would import.
_START = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[2]);"
    "from purecert.engine.own_process import answer; answer(sys.argv[1])"
)


class DiedError(Exception):
    """The process gave no answer; ``is_stuck`` if it cannot be ended either."""

    def __init__(
        self, reason: str, *, signal_name: str | None = None, timed_out: bool = False, is_stuck: bool = False
    ) -> None:
        super().__init__(reason)
        self.reason, self.signal_name, self.timed_out, self.is_stuck = reason, signal_name, timed_out, is_stuck


def call(function: Callable[Arguments, Result], *arguments: Arguments.args, **options: Arguments.kwargs) -> Result:
    """Return what ``function`` returns in a fresh process, which writes to this one's streams; all must be picklable.

    It takes as long as it takes.

    Raises:
        UnusableError: As the function does.
        PurecertError: As the function does.
        DiedError: The process crashed or ended otherwise; of any other exception the traceback is on stderr.
    """
    return _run(partial(function, *arguments, **options), math.inf, is_hidden=False)


def ask(
    seconds: float, function: Callable[Arguments, Result], *arguments: Arguments.args, **options: Arguments.kwargs
) -> Result:
    """Return what ``call`` does, of a process whose output is hidden and that is given up after ``seconds``.

    Raises:
        UnusableError: As the function does.
        PurecertError: As the function does.
        DiedError: The process crashed, ended otherwise, or did not answer within ``seconds``.
    """
    return _run(partial(function, *arguments, **options), seconds, is_hidden=True)


def answer(name: str) -> None:
    """Answer the question in the folder ``name``, in a process that was started for that."""
    folder = Path(name)
    question, is_hidden = _read(folder / _QUESTION)
    try:
        said = (True, question())
    except (UnusableError, PurecertError) as error:
        said = (False, error)
    partly = folder / f"{_ANSWER}.part"
    partly.write_bytes(pickle.dumps(said))
    partly.replace(folder / _ANSWER)
    if is_hidden:
        os._exit(0)  # what a runtime does when Python ends is not what was asked


def _run(question: Callable[[], Result], seconds: float, *, is_hidden: bool) -> Result:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:  # a stuck process may hold files of it
        folder = Path(name)
        (folder / _QUESTION).write_bytes(pickle.dumps((question, is_hidden)))
        process = _started(folder, is_hidden=is_hidden)
        try:
            has_ended = _answers(process, folder / _ANSWER, seconds) and _ends(process, _LEAVING)
        finally:
            process.kill()
            can_end = _ends(process, _GRACE)
        if not (folder / _ANSWER).is_file():
            raise _silence(process, seconds, _last_line(folder / _SAID), has_ended=has_ended, can_end=can_end)
        is_result, said = _read(folder / _ANSWER)
    if not is_result:
        raise said
    result: Result = said
    return result


def _started(folder: Path, *, is_hidden: bool) -> subprocess.Popen[bytes]:
    # -P: nothing in the working directory shadows what is imported before the path is set.
    command = [sys.executable, "-P", "-c", _START, str(folder), json.dumps(sys.path)]
    if not is_hidden:
        return subprocess.Popen(command, stdin=subprocess.DEVNULL)
    with (folder / _SAID).open("wb") as file:  # the runtimes write to both streams at will
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=file, stderr=file)


def _answers(process: subprocess.Popen[bytes], answer: Path, seconds: float) -> bool:
    """Wait until there is an answer or the process has ended; return whether that was within ``seconds``."""
    end = time.monotonic() + seconds
    while process.poll() is None and not answer.is_file():
        if time.monotonic() >= end:
            return False
        time.sleep(_POLL)
    return True


def _read(path: Path) -> Any:
    return pickle.loads(path.read_bytes())  # noqa: S301 - its folder is one that only this user can write to


def _ends(process: subprocess.Popen[bytes], seconds: float) -> bool:
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        return False
    return True


def _silence(
    process: subprocess.Popen[bytes], seconds: float, last_line: str, *, has_ended: bool, can_end: bool
) -> DiedError:
    """Return what to say of a process that left no answer."""
    if not can_end:
        return DiedError(
            f"no answer within {seconds:.1f} s, and its process {process.pid} cannot be ended: it hangs in the kernel, "
            "most likely in a driver",
            is_stuck=True,
        )
    if not has_ended:
        return DiedError(f"no answer within {seconds:.1f} s", timed_out=True)
    if process.returncode < 0:
        name = signal.Signals(-process.returncode).name
        return DiedError(f"it crashed with {name}" + (f" ({last_line})" if last_line else ""), signal_name=name)
    return DiedError(last_line or f"its process ended with exit code {process.returncode}")


def _last_line(said: Path) -> str:
    if not said.is_file():
        return ""
    lines = said.read_text("utf-8", "replace").split("\n")
    printable = ["".join(c for c in line if c.isprintable()).strip() for line in lines]
    return next((line[:_TELLING] for line in reversed(printable) if line), "")
