"""What engine-doctor says of this machine."""

import json
import subprocess
import sys
from typing import Any

from gpu.command import engine_command

from purecert.engine.errors import BackendError

_LONG = "120"  # seconds: the first time, a large runtime may come from a slow disk, and an engine is built


def examine() -> dict[str, Any]:
    """Return the report on every backend, as soon as a user would have it.

    Raises:
        BackendError: The doctor itself failed.
    """
    return _asked()


def diagnosis(backend: str) -> dict[str, Any]:
    """Return the answer of one backend, for which more time is given.

    Raises:
        BackendError: The doctor itself failed.
    """
    (answer,) = _asked("--backend", backend, "--timeout", _LONG)["backends"]
    found: dict[str, Any] = answer
    return found


def _asked(*arguments: str) -> dict[str, Any]:
    done = subprocess.run(engine_command("doctor", *arguments), capture_output=True, text=True, check=False)
    # A backend that cannot be used is told once more on stderr, by the exit code of a BackendError.
    if done.returncode not in (0, BackendError.exit_code):
        print(done.stderr, file=sys.stderr)
        raise BackendError(f"engine-doctor ended with exit code {done.returncode}; what it said is above")
    report: dict[str, Any] = json.loads(done.stdout)
    return report
