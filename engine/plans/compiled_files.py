"""How long a compiled file took to make, beside it as JSON; it is told to people only."""

import json
from pathlib import Path

from purecert.engine.errors import InputError
from purecert.engine.files.canonical import write_atomically


def write_build_time(path: Path, seconds: float) -> None:
    """Keep how long making the compiled file ``path`` took; before it is written, so that where it is, this is too."""
    described = json.dumps({"build_seconds": round(seconds, 1)}) + "\n"
    path.parent.mkdir(exist_ok=True)
    write_atomically(path.with_suffix(".json"), described.encode())


def read_build_time(path: Path) -> float:
    """Return the seconds that making ``path`` took.

    Raises:
        InputError: Nothing tells them.
    """
    described = path.with_suffix(".json")
    try:
        return float(json.loads(described.read_bytes())["build_seconds"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{described}: expected the build time of {path.name}; delete both and run again") from error
