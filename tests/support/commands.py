"""The commands as a user runs them: in a process of their own.

Most of a short command's time is the import of PyTorch. So a server is started once, which imports it and waits; each
command is a fork of it, with the caller's folder and environment. What the interpreter or a library reads when it
starts is not heeded then, so a command whose environment differs there gets an interpreter of its own. What a fork
hides: its strings hash alike in every command, so a test of same bytes asks for an interpreter of its own (``fresh``);
some packages are imported already; and an object that is deleted with its interpreter is not.
"""

import atexit
import multiprocessing
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy

_MODULES = {
    "bench": "purecert.export.bench.command",
    "export": "purecert.export.commands",
    "import": "purecert.train.importing.command",
    "train": "purecert.train.commands",
}
_HIDE_NATIVE = "import sys; sys.modules['purecert._kernels'] = None; "
_IMPORTED = ["torch", "numpy", "scipy.special", "click", "onnxruntime"]  # by the server: nothing of purecert
_READ_AT_START = (
    *("PYTHON", "LD_", "LC_", "LANG", "HOME", "TMPDIR", "OMP_", "GOMP_", "KMP_", "MKL_", "OPENBLAS_", "NPY_"),
    *("TORCH", "ATEN_", "ORT_", "ONNX", "CUDA", "NVIDIA_"),
)

_server = multiprocessing.get_context("forkserver")
_server.set_forkserver_preload(_IMPORTED)


@dataclass(frozen=True, kw_only=True, slots=True)
class Ended:
    """A command that ended."""

    code: int
    out: str
    err: str

    def expect(self, code: int) -> "Ended":
        """Return self if the command ended with ``code``; fail the test with what it said otherwise."""
        assert self.code == code, f"exit code {self.code}, expected {code}\n{self.out}\n{self.err}"
        assert "Traceback" not in self.err
        return self


def engine_arguments(name: str, *arguments: str | Path, hide_native: bool = False) -> list[str]:
    """Return the process arguments of ``engine-NAME arguments``; ``hide_native`` takes the native module away."""
    program = (_HIDE_NATIVE if hide_native else "") + _program(name)
    return [sys.executable, "-c", program, *map(os.fspath, arguments)]


def engine(name: str, *arguments: str | Path, hide_native: bool = False, fresh: bool = False) -> Ended:
    """Run ``engine-NAME arguments`` to its end, in an interpreter of its own where it is to be ``fresh``."""
    if fresh or hide_native or _read_at_start(os.environ) != _AT_START:
        command = engine_arguments(name, *arguments, hide_native=hide_native)
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return Ended(code=done.returncode, out=done.stdout, err=done.stderr)
    with tempfile.TemporaryDirectory() as folder:
        written = [Path(folder, "out"), Path(folder, "err")]
        command = [_program(name), *map(os.fspath, arguments)]
        process = _server.Process(target=_run, args=(command, _Place.of_this_process(), *written))
        process.start()
        process.join()
        out, err = (file.read_text() for file in written)
        assert process.exitcode is not None
        return Ended(code=process.exitcode, out=out, err=err)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Place:
    """What a process inherits from the one that starts it, and where an interpreter of its own would look."""

    folder: str
    environment: dict[str, str]
    mask: int
    processors: set[int]
    searched: list[str]

    @classmethod
    def of_this_process(cls) -> "_Place":
        mask = os.umask(0)
        os.umask(mask)
        return cls(
            folder=os.getcwd(),
            environment=dict(os.environ),
            mask=mask,
            processors=os.sched_getaffinity(0),
            searched=_SEARCHED,
        )

    def enter(self) -> None:
        os.chdir(self.folder)
        os.environ.clear()
        os.environ.update(self.environment)
        os.umask(self.mask)
        os.sched_setaffinity(0, self.processors)
        sys.path[:] = [*([] if sys.flags.safe_path else [""]), *self.searched]


def _run(command: list[str], place: _Place, out: Path, err: Path) -> None:
    """Be ``python -c COMMAND``, in a fork of the server."""
    atexit._clear()  # of the server
    for number, file in ((1, out), (2, err)):
        with file.open("wb") as opened:
            os.dup2(opened.fileno(), number)
    place.enter()
    sys.argv = ["-c", *command[1:]]
    random.seed()
    numpy.random.seed()  # of code that draws from it: as in a new interpreter
    try:
        exec(command[0], {"__name__": "__main__"})  # noqa: S102  # the same code that `python -c` gets
    finally:
        atexit._run_exitfuncs()


def _program(name: str) -> str:
    module = _MODULES.get(name, f"purecert.engine.commands.{name}")
    return f"from {module} import {name}_command; {name}_command(prog_name='engine-{name}')"


def _read_at_start(environment: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environment.items() if name.startswith(_READ_AT_START)}


_AT_START = _read_at_start(os.environ)
_TESTS = {os.fspath(Path(__file__).parents[1]), os.fspath(Path(__file__).parents[2])}  # where pytest looks besides
_SEARCHED = [each for each in sys.path if each not in _TESTS]
