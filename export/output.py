"""Where a plan appears: nothing at its name until all of it is there, and nothing overwritten that is no plan."""

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from purecert.engine.errors import InputError
from purecert.engine.files.canonical import sync_directory
from purecert.engine.plans.plan import CACHE_DIRECTORY, PLAN_FILE


def check_output(output: Path, *, force: bool) -> None:
    """Refuse an ``output`` that must not be written.

    Raises:
        InputError: It lies inside a file, or it exists and is not a plan to be replaced with ``force``.
    """
    above = next(parent for parent in output.absolute().parents if parent.exists())
    if not above.is_dir():
        raise InputError(f"{output}: expected a folder to write into, {above} is a file; choose another name")
    if not (output.exists() or output.is_symlink()):
        return
    if not force:
        raise InputError(f"{output}: exists already; choose another name, or pass --force to replace a plan")
    if output.is_symlink() or not output.is_dir() or not (output / PLAN_FILE).is_file():
        raise InputError(f"{output}: --force replaces a plan directory only, and this is none; choose another name")
    strangers = [path.name for path in output.iterdir() if not _belongs_to_plan(path)]
    if strangers:
        raise InputError(f"{output}: --force would delete {strangers[0]!r}, which is no part of a plan; move it first")


def _belongs_to_plan(path: Path) -> bool:
    if path.name == CACHE_DIRECTORY:  # of files alone: a folder in it is somebody's own
        return path.is_dir() and not path.is_symlink() and all(entry.is_file() for entry in path.iterdir())
    return path.is_file() and not path.is_symlink() and (path.name == PLAN_FILE or path.suffix == ".onnx")


@contextmanager
def building(output: Path, *, force: bool) -> Iterator[Path]:
    """Yield a fresh folder that becomes ``output`` if the block ends well, and vanishes if it does not.

    Raises:
        InputError: As ``check_output``, for what came to lie at ``output`` meanwhile.
    """
    output = Path(os.path.abspath(output))  # the name of "." or "plan/.." too
    fresh = _beside(output, "new")
    fresh.mkdir(parents=True)
    try:
        yield fresh
        check_output(output, force=force)  # the gate takes minutes: nothing saved meanwhile may be lost
        _install(fresh, output)
    finally:
        if fresh.exists():
            shutil.rmtree(fresh)


def _install(fresh: Path, output: Path) -> None:
    """Give ``fresh`` the name ``output``; a plan that is there keeps it if that fails."""
    if not output.exists():
        fresh.rename(output)
    else:
        retired = _beside(output, "old")
        output.rename(retired)
        try:
            fresh.rename(output)
        except OSError:
            retired.rename(output)
            raise
        shutil.rmtree(retired)
    sync_directory(output.parent)


def _beside(output: Path, role: str) -> Path:
    return output.with_name(f".{output.name}.{role}-{secrets.token_hex(4)}")
