"""Where a compiled file lies in a plan's cache, what it is made from, who makes it, and how long that took."""

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from purecert.engine.errors import InputError
from purecert.engine.files.canonical import canonical_json, sha256_hex, write_atomically
from purecert.engine.plans.plan import CACHE_DIRECTORY, Plan


def compiled_file(
    plan: Plan, sigma: float, kind: str, suffix: str, schema: str, made_from: Mapping[str, object]
) -> tuple[Path, str]:
    """Return where a compiled file of ``sigma`` lies, and a digest of everything that it is made from.

    Args:
        plan: The plan, in whose cache the file lies.
        sigma: The noise std of the graph.
        kind: What compiles it, as a part of its name.
        suffix: The end of its name.
        schema: The form of ``made_from``.
        made_from: What the file depends on beside the graph.
    """
    whole = {"schema": schema, "graph": plan.graph(sigma).sha256, **made_from}
    origin = sha256_hex(canonical_json(whole).encode())
    return plan.directory / CACHE_DIRECTORY / f"sigma-{sigma}-{kind}-{origin[:16]}{suffix}", origin


@contextmanager
def sole_maker(path: Path) -> Iterator[None]:
    """Hold off every other process that would make ``path`` or one beside it; look again inside whether it is there.

    Two compilations of one program may differ, and a run is tied to one of them: a second must not replace it.

    Raises:
        InputError: The cache is a link.
    """
    if path.parent.is_symlink():
        raise InputError(f"{path.parent}: expected the plan's own cache, found a link; remove it")
    path.parent.mkdir(exist_ok=True)
    # The folder itself is locked. A lock file would have to stay: once it is deleted, it no longer keeps others out.
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def write_build_time(path: Path, seconds: float) -> None:
    """Keep how long making the compiled file ``path`` took, in a JSON file beside it, for people to read.

    Call it before the compiled file is written: where that is, this is too.
    """
    described = json.dumps({"build_seconds": round(seconds, 1)}) + "\n"
    path.parent.mkdir(exist_ok=True)
    write_atomically(path.with_suffix(".json"), described.encode())


def read_build_time(path: Path) -> float:
    """Return the seconds that making ``path`` took.

    Raises:
        InputError: The file beside it is absent or damaged.
    """
    described = path.with_suffix(".json")
    try:
        return float(json.loads(described.read_bytes())["build_seconds"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{described}: expected the build time of {path.name}; delete both and run again") from error
