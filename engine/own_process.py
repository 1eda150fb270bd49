"""Calls in a process of their own: a library that crashes or hangs there is an answer, not the end of the doctor.

A process that hangs inside the kernel, as a broken driver makes it, dies of no signal. So no wait here is without an
end, and none of the doctor's own streams is shared with the process: who reads them would wait for it too. For the
same reasons it is not of the package multiprocessing, which waits for its processes when Python exits.
"""

import json
import os
import pickle
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from purecert.engine.errors import PurecertError, UnusableError

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")

RESTART = "restart the machine: sudo reboot"

_TELLING = 300  # characters of what a library wrote that are worth a line
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


def ask(
    seconds: float, function: Callable[Arguments, Result], *arguments: Arguments.args, **options: Arguments.kwargs
) -> Result:
    """Return what ``function`` returns in a fresh process, whose output nobody sees; all must be picklable.

    Raises:
        UnusableError: As the function does.
        PurecertError: As the function does.
        DiedError: The process crashed, ended otherwise, or did not answer within ``seconds``.
    """
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:  # a stuck process may hold files of it
        folder = Path(name)
        (folder / _QUESTION).write_bytes(pickle.dumps((function, arguments, options)))
        process = _started(folder)
        try:
            has_ended = _ends(process, seconds)
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


def answer(name: str) -> None:
    """Answer the question in the folder ``name`` and end this process, which was started for that."""
    folder = Path(name)
    function, arguments, options = _read(folder / _QUESTION)
    try:
        said = (True, function(*arguments, **options))
    except (UnusableError, PurecertError) as error:
        said = (False, error)
    partly = folder / f"{_ANSWER}.part"
    partly.write_bytes(pickle.dumps(said))
    partly.replace(folder / _ANSWER)
    os._exit(0)  # what a runtime does when Python ends is not what was asked


def _started(folder: Path) -> subprocess.Popen[bytes]:
    # -P: nothing in the working directory shadows what is imported before the path is set.
    command = [sys.executable, "-P", "-c", _START, str(folder), json.dumps(sys.path)]
    with (folder / _SAID).open("wb") as file:  # the runtimes write to both streams at will
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=file, stderr=file)


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
    lines = said.read_text("utf-8", "replace").split("\n")
    printable = ["".join(c for c in line if c.isprintable()).strip() for line in lines]
    return next((line[:_TELLING] for line in reversed(printable) if line), "")
