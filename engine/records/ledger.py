"""The run directory: run.json first, then one fsynced line per image, in dataset order.

Whatever moment a run is cut at, what lies on disk is a prefix of what the whole run writes, so resuming gives the
bytes of an uninterrupted run. Timings, usage and paths, which no run repeats, have files of their own.
"""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any, BinaryIO

from purecert.engine.errors import InputError
from purecert.engine.files.canonical import canonical_json, sha256_hex, sync_directory, write_atomically
from purecert.engine.files.strict_json import read_document
from purecert.engine.records.lines import Row, decode_row, encode_row
from purecert.engine.records.run_record import RUN_SCHEMA, RunRecord

RUN_FILE = "run.json"
LEDGER_FILE = "certificates.jsonl"
TIMINGS_FILE = "timings.jsonl"
USAGE_FILE = "usage.jsonl"
INVOCATION_FILE = "invocation.json"
_LOCK_FILE = "lock"
# What --force may delete, so that a wrong --out cannot cost anything else; in this order, so that a clearing cut
# short leaves a run without rows rather than rows without a run.
_REPLACED_FILES = (LEDGER_FILE, TIMINGS_FILE, USAGE_FILE, "cohen.tsv", INVOCATION_FILE, RUN_FILE)
_WRITTEN_FIRST = (_LOCK_FILE, INVOCATION_FILE, RUN_FILE)  # a run that was cut at its very start has only these


def _with_partials(*names: str) -> frozenset[str]:
    return frozenset(names) | {f"{name}.partial" for name in names}


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """A run directory as read: the record, its digest, and the rows that are complete."""

    directory: Path
    record: RunRecord
    digest: str
    rows: tuple[Row, ...]


class Ledger:
    """An open run directory that rows are appended to."""

    def __init__(self, directory: Path, digest: str, ledger: BinaryIO, timings: BinaryIO) -> None:
        self._directory, self._digest, self._ledger, self._timings = directory, digest, ledger, timings

    def append(self, row: Row, seconds: float) -> None:
        """Write one image's line and make it survive a power cut before returning."""
        self._ledger.write(encode_row(row, self._digest).encode() + b"\n")
        self._ledger.flush()
        os.fsync(self._ledger.fileno())
        timing = {"index": row.index, "seconds": round(seconds, 6)}
        self._timings.write(canonical_json(timing).encode() + b"\n")
        self._timings.flush()

    def append_usage(self, usage: dict[str, int]) -> None:
        """Write what this session drew; a session that was killed leaves no line."""
        with (self._directory / USAGE_FILE).open("ab") as file:
            file.write(canonical_json(usage).encode() + b"\n")


@contextmanager
def open_ledger(directory: Path, record: RunRecord, invocation: dict[str, object]) -> Iterator[Ledger]:
    """Open ``directory`` for a run: a new one, or (where run.json is there) the continuation of the same run.

    A line that was cut short by a crash is dropped; its image is done again at the same addresses.

    Raises:
        InputError: The directory holds another run, a changed line, or is in use.
    """
    directory.mkdir(parents=True, exist_ok=True)
    sync_directory(directory.parent)
    with _locked(directory):
        if (directory / RUN_FILE).exists():
            digest = _continue(directory, record)
        else:
            digest = _begin(directory, record, invocation)
        with (directory / LEDGER_FILE).open("ab") as ledger, (directory / TIMINGS_FILE).open("ab") as timings:
            sync_directory(directory)
            yield Ledger(directory, digest, ledger, timings)


def read_run(directory: Path) -> Run:
    """Return the run in ``directory``; a last line that a crash cut short is left out.

    Raises:
        InputError: There is no run, or run.json or a line is not what this version wrote.
    """
    record, digest = _read_record(directory)
    path = directory / LEDGER_FILE
    *lines, tail = (path.read_bytes() if path.exists() else b"").split(b"\n")
    rows = []
    for number, line in enumerate(lines, 1):
        try:
            rows.append(decode_row(line.decode("ascii", "replace"), digest))
        except InputError as error:
            raise InputError(f"{path}:{number}: {error}") from error
    if tail and _is_row(tail[:-1], digest):
        raise InputError(f"{path}:{len(rows) + 1}: expected a newline, found {tail[-1:]!r}; it was changed")
    return Run(directory=directory, record=record, digest=digest, rows=tuple(rows))


def read_usage(directory: Path) -> list[dict[str, int]]:
    """Return what each session of the run drew, but for those that were killed; a line cut short is left out."""
    path = directory / USAGE_FILE
    lines = path.read_bytes().split(b"\n")[:-1] if path.exists() else []
    return [json.loads(line) for line in lines]


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
    begun = RUN_FILE in names
    foreign = sorted(names - _with_partials(_LOCK_FILE, *(_REPLACED_FILES if begun else _WRITTEN_FIRST)))
    if foreign and (force or not begun):
        found = f"found {foreign[0]!r} in it" + ("" if begun else f" and no {RUN_FILE}")
        raise InputError(f"{directory}: expected a run directory and nothing else, {found}; choose another --out")
    if names and not (resume or force):
        raise InputError(f"{directory}: a run is there; continue it with --resume, or replace it with --force")


def clear_run(directory: Path) -> None:
    """Delete the run in ``directory`` (what ``check_output`` admitted under ``force``) and no other file.

    The directory stays, with its lock: who holds a lock that was deleted could not be found any more.

    Raises:
        InputError: Another process is writing to it.
    """
    if directory.exists():
        with _locked(directory):
            for name in _REPLACED_FILES:
                (directory / f"{name}.partial").unlink(missing_ok=True)
                (directory / name).unlink(missing_ok=True)
            sync_directory(directory)


def stored_seed(directory: Path) -> tuple[int, bool] | None:
    """Return the seed of the run in ``directory`` and whether it was given by hand; None where no run began."""
    if not (directory / RUN_FILE).exists():
        return None
    record, _ = _read_record(directory)
    return record.seed, record.seed_given


def _continue(directory: Path, record: RunRecord) -> str:
    """Make the run in ``directory`` ready for its next line, touching nothing that does not fit; return its digest."""
    run = read_run(directory)
    _refuse_changes(run.record, record, directory)
    for name in (LEDGER_FILE, TIMINGS_FILE, USAGE_FILE):
        _drop_torn_tail(directory / name)
    return run.digest


def _begin(directory: Path, record: RunRecord, invocation: dict[str, object]) -> str:
    """Write the files that come before the first line; return the run's digest."""
    if (directory / LEDGER_FILE).exists():
        raise InputError(
            f"{directory}: expected {RUN_FILE} beside {LEDGER_FILE}, found none; restore it, or choose another --out"
        )
    write_atomically(directory / INVOCATION_FILE, (json.dumps(invocation, indent=1) + "\n").encode())
    content = (json.dumps(asdict(record), indent=1, allow_nan=False) + "\n").encode()
    write_atomically(directory / RUN_FILE, content)
    return sha256_hex(content)


@contextmanager
def _locked(directory: Path) -> Iterator[None]:
    with (directory / _LOCK_FILE).open("ab") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise InputError(f"{directory}: another process is writing to this run; wait for it or stop it") from error
        yield


def _read_record(directory: Path) -> tuple[RunRecord, str]:
    path = directory / RUN_FILE
    if not path.is_file():
        raise InputError(f"{directory}: expected a run directory with {RUN_FILE}, found none; is the path right?")
    content = path.read_bytes()
    advice = {"damaged": "the run cannot be used", "other_version": "use the version that made it"}
    return read_document(RunRecord, path, content, RUN_SCHEMA, **advice), sha256_hex(content)


def _refuse_changes(stored: RunRecord, asked: RunRecord, directory: Path) -> None:
    for name, was, now in _changes(stored, asked):
        raise InputError(
            f"{directory}: the run was begun with {name} = {was}, asked to resume with {now}; "
            "resume with the same plan, data and options, or start a new run"
        )


def _changes(stored: Any, asked: Any, prefix: str = "") -> Iterator[tuple[str, object, object]]:
    """Yield name, old and new value of each field that differs between two records of one class."""
    for field in fields(stored):
        was, now = getattr(stored, field.name), getattr(asked, field.name)
        if is_dataclass(was):
            yield from _changes(was, now, f"{prefix}{field.name}.")
        elif was != now:
            yield prefix + field.name, was, now


def _is_row(line: bytes, digest: str) -> bool:
    try:
        decode_row(line.decode("ascii", "replace"), digest)
    except InputError:
        return False
    return True


def _drop_torn_tail(path: Path) -> None:
    content = path.read_bytes() if path.exists() else b""
    whole = content.rfind(b"\n") + 1
    if whole < len(content):
        with path.open("r+b") as file:
            file.truncate(whole)
            os.fsync(file.fileno())
