"""The run directory: run.json first, then one fsynced line per image, in dataset order.

Whatever moment a run is cut at, what lies on disk is a prefix of what the whole run writes, so resuming gives the
bytes of an uninterrupted run. Timings and paths, which no run repeats, have files of their own.
"""

import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import BinaryIO

from purecert.engine.canonical import canonical_json, sha256_hex, sync_directory, write_atomically
from purecert.engine.certificates import Row, decode_row, encode_row
from purecert.engine.errors import InputError
from purecert.engine.run_record import RUN_SCHEMA, RunRecord
from purecert.engine.strict_json import read_dataclass

RUN_FILE = "run.json"
LEDGER_FILE = "certificates.jsonl"
TIMINGS_FILE = "timings.jsonl"
INVOCATION_FILE = "invocation.json"
_LOCK_FILE = "lock"
# What --force may delete: our own files, so that a wrong --out cannot cost anything else.
_OWN_FILES = frozenset({RUN_FILE, LEDGER_FILE, TIMINGS_FILE, INVOCATION_FILE, _LOCK_FILE, "cohen.tsv"})


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


@contextmanager
def open_ledger(directory: Path, record: RunRecord, invocation: dict[str, object]) -> Iterator[Ledger]:
    """Open ``directory`` for a run: a new one, or (where run.json is there) the continuation of the same run.

    A line that was cut short by a crash is dropped; its image is done again at the same addresses.

    Raises:
        InputError: The directory holds another run, a changed line, or is in use.
    """
    directory.mkdir(parents=True, exist_ok=True)
    with _locked(directory):
        content = (json.dumps(asdict(record), indent=1) + "\n").encode()
        if (directory / RUN_FILE).exists():
            _refuse_changes(_read_record(directory)[0], record, directory)
            for name in (LEDGER_FILE, TIMINGS_FILE):
                _drop_torn_tail(directory / name)
            read_run(directory)
        else:
            write_atomically(directory / INVOCATION_FILE, (json.dumps(invocation, indent=1) + "\n").encode())
            write_atomically(directory / RUN_FILE, content)
        with (directory / LEDGER_FILE).open("ab") as ledger, (directory / TIMINGS_FILE).open("ab") as timings:
            sync_directory(directory)
            yield Ledger(directory, sha256_hex(content), ledger, timings)


def read_run(directory: Path) -> Run:
    """Return the run in ``directory``; a last line that a crash cut short is left out.

    Raises:
        InputError: There is no run, or run.json or a line is not what this version wrote.
    """
    record, digest = _read_record(directory)
    path = directory / LEDGER_FILE
    content = path.read_bytes() if path.exists() else b""
    rows = []
    for number, line in enumerate(content.split(b"\n")[:-1], 1):
        try:
            rows.append(decode_row(line.decode("ascii", "replace"), digest))
        except InputError as error:
            raise InputError(f"{path}:{number}: {error}") from error
    return Run(directory=directory, record=record, digest=digest, rows=tuple(rows))


def check_output(directory: Path, *, resume: bool, force: bool) -> None:
    """Refuse an output directory that a new run would overwrite; touch nothing.

    Raises:
        InputError: The directory is not free, and neither ``resume`` nor ``force`` says what to do with it.
    """
    if not directory.exists():
        return
    if not directory.is_dir():
        raise InputError(f"{directory}: expected a run directory, found a file; choose another --out")
    names = {entry.name for entry in directory.iterdir()}
    if foreign := sorted(name for name in names - _OWN_FILES if not name.endswith(".partial")):
        if RUN_FILE not in names or force:
            raise InputError(f"{directory}: expected a run directory, found {foreign[0]!r} in it; choose another --out")
    if names and not (resume or force):
        raise InputError(f"{directory}: a run is there; continue it with --resume, or replace it with --force")


def clear_run(directory: Path) -> None:
    """Delete the run in ``directory`` (what ``check_output`` admitted under ``force``).

    Raises:
        InputError: Another process is writing to it.
    """
    if directory.exists():
        with _locked(directory):
            shutil.rmtree(directory)


def stored_seed(directory: Path) -> tuple[int, bool] | None:
    """Return the seed of the run in ``directory`` and whether it was given by hand; None where no run began."""
    if not (directory / RUN_FILE).exists():
        return None
    record, _ = _read_record(directory)
    return record.seed, record.seed_given


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
    try:
        value = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: expected JSON, found {error}; the run cannot be used") from error
    schema = value.get("schema") if isinstance(value, dict) else None
    if schema != RUN_SCHEMA:
        raise InputError(f"{path}: expected schema {RUN_SCHEMA}, found {schema!r}; use the version that made it")
    return read_dataclass(RunRecord, value, str(path)), sha256_hex(content)


def _refuse_changes(stored: RunRecord, asked: RunRecord, directory: Path) -> None:
    for field in fields(RunRecord):
        was, now = getattr(stored, field.name), getattr(asked, field.name)
        if was != now:
            raise InputError(
                f"{directory}: the run was begun with {field.name} = {was}, asked to resume with {now}; "
                "resume with the same plan, data and options, or start a new run"
            )


def _drop_torn_tail(path: Path) -> None:
    content = path.read_bytes() if path.exists() else b""
    whole = content.rfind(b"\n") + 1
    if whole < len(content):
        with path.open("r+b") as file:
            file.truncate(whole)
            os.fsync(file.fileno())
