"""The commands as a user runs them: in a process of their own."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

_MODULES = {
    "bench": "purecert.export.bench.command",
    "export": "purecert.export.commands",
    "import": "purecert.train.importing.command",
    "train": "purecert.train.commands",
}
_HIDE_NATIVE = "import sys; sys.modules['purecert._kernels'] = None; "


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
    module = _MODULES.get(name, f"purecert.engine.commands.{name}")
    code = f"from {module} import {name}_command; {name}_command(prog_name='engine-{name}')"
    program = (_HIDE_NATIVE if hide_native else "") + code
    return [sys.executable, "-c", program, *map(os.fspath, arguments)]


def engine(name: str, *arguments: str | Path, hide_native: bool = False) -> Ended:
    """Run ``engine-NAME arguments`` to its end."""
    command = engine_arguments(name, *arguments, hide_native=hide_native)
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return Ended(code=done.returncode, out=done.stdout, err=done.stderr)
