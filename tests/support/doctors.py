"""engine-doctor as a user runs it, on a machine that was made for it."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from support.commands import Ended, engine_arguments

_PATIENCE = "240"  # seconds: a busy machine is no failed test


def doctor(*arguments: str | Path, path: Path | None = None, libraries: Path | None = None) -> Ended:
    """Run engine-doctor with the folder ``path`` first on Python's path and ``libraries`` on the loader's."""
    environment = os.environ | ({"PYTHONPATH": os.fspath(path)} if path is not None else {})
    environment |= {"LD_LIBRARY_PATH": os.fspath(libraries)} if libraries is not None else {}
    command = engine_arguments("doctor", *arguments, "--timeout", _PATIENCE)
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    return Ended(code=done.returncode, out=done.stdout, err=done.stderr)


def report(*arguments: str | Path, code: int, **options: Any) -> dict[str, Any]:
    """Return what engine-doctor says as JSON, after checking its exit code."""
    answer: dict[str, Any] = json.loads(doctor(*arguments, "--json", **options).expect(code).out)
    return answer
