"""Which files a run directory holds, who may write to it, and what may be deleted from it."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from purecert.engine.errors import InputError
from purecert.engine.files.canonical import sync_directory

RUN_FILE = "run.json"
LEDGER_FILE = "certificates.jsonl"
TIMINGS_FILE = "timings.jsonl"
USAGE_FILE = "usage.jsonl"
INVOCATION_FILE = "invocation.json"
LOG_FILE = "cohen.tsv"  # of a whole run, where it was asked for
IMAGES_FILE = "images.npz"  # of a run whose images came from memory
_LOCK_FILE = "lock"
# What --force may delete, so that a wrong --out cannot cost anything else; in this order, so that a clearing cut
# short leaves a run without rows rather than rows without a run.
_REPLACED_FILES = (LEDGER_FILE, TIMINGS_FILE, USAGE_FILE, LOG_FILE, IMAGES_FILE, INVOCATION_FILE, RUN_FILE)
# A run that was cut at its very start has only these.
_WRITTEN_FIRST = (_LOCK_FILE, IMAGES_FILE, INVOCATION_FILE, RUN_FILE)


def _with_partials(*names: str) -> frozenset[str]:
    return frozenset(names) | {f"{name}.partial" for name in names}


def check_output(directory: Path, *, resume: bool, force: bool) -> None:
    """Refuse an output directory that a new run would overwrite; touch nothing.

    Raises:
        InputError: The directory is not free and neither ``resume`` nor ``force`` says what to do with it, or it
            holds what is not of a run.
    """
    if resume and force:
        raise InputError(f"{directory}: expected --resume or --force, got both; --force would delete what is to resume")
    if not directory.exists():
        return
    if not directory.is_dir():
        raise InputError(f"{directory}: expected a run directory, found a file; choose another --out")
    names = {entry.name for entry in directory.iterdir()}
    if links := sorted(entry.name for entry in directory.iterdir() if entry.is_symlink()):
        raise InputError(f"{directory}: expected files of a run, found the link {links[0]!r}; writing would follow it")
    _refuse_odd_files(directory)
    begun = RUN_FILE in names
    foreign = sorted(names - _with_partials(_LOCK_FILE, *(_REPLACED_FILES if begun else _WRITTEN_FIRST)))
    if foreign and (force or not begun):
        found = f"found {foreign[0]!r} in it" + ("" if begun else f" and no {RUN_FILE}")
        raise InputError(f"{directory}: expected a run directory and nothing else, {found}; choose another --out")
    if names and not (resume or force):
        raise InputError(f"{directory}: a run is there; continue it with --resume, or replace it with --force")


def _refuse_odd_files(directory: Path) -> None:
    """Refuse what has the name of a run's file and is none, such as a folder: it can be neither written nor deleted."""
    for name in sorted(_with_partials(_LOCK_FILE, *_REPLACED_FILES)):
        path = directory / name
        if path.exists() and not path.is_file():
            raise InputError(f"{path}: expected a file of a run, found something else; move it away")


@contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Hold ``directory``, which exists, for writing.

    Raises:
        InputError: Another process is writing to it.
    """
    with (directory / _LOCK_FILE).open("ab") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise InputError(f"{directory}: another process is writing to this run; wait for it or stop it") from error
        yield


def clear_run(directory: Path) -> None:
    """Delete the run in ``directory`` (what ``check_output`` admitted under ``force``) and no other file.

    The caller holds the lock, whose file stays: who holds a lock that was deleted could not be found any more.

    Raises:
        InputError: Something of a run's name is no file; nothing is deleted.
    """
    _refuse_odd_files(directory)  # before anything is deleted
    for name in _REPLACED_FILES:
        (directory / f"{name}.partial").unlink(missing_ok=True)
        (directory / name).unlink(missing_ok=True)
    sync_directory(directory)
