"""Writing a run: run.json first, then one fsynced line per image, in dataset order.

Whatever moment a run is cut at, what lies on disk is a prefix of what the whole run writes, so resuming gives the
bytes of an uninterrupted run. Timings, usage and paths, which no run repeats, have files of their own.
"""

import json
import os
import reprlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from purecert.engine.errors import InputError
from purecert.engine.files.canonical import canonical_json, sha256_hex, sync_directory, write_atomically
from purecert.engine.files.strict_json import parse_json
from purecert.engine.images.datasets import Dataset
from purecert.engine.records.changes import refuse_changes
from purecert.engine.records.growing import as_continued, grown, line_digests, run_json
from purecert.engine.records.lines import Line, encode_line
from purecert.engine.records.run import Run, read_form, read_run, record_of
from purecert.engine.records.run_directory import (
    IMAGES_FILE,
    INVOCATION_FILE,
    LEDGER_FILE,
    LOG_FILE,
    RUN_FILE,
    TIMINGS_FILE,
    USAGE_FILE,
    check_output,
    clear_run,
    locked,
)
from purecert.engine.records.run_record import RunRecord

_USAGE = {"rows", "padding", "in_vain"}  # what a session says of itself (engine/running/scheduler.py)
_MOST_ROWS = 2**63 - 1  # that a session can have drawn


@contextmanager
def opened_run(directory: Path, *, resume: bool = False, force: bool = False) -> Iterator["Ledger"]:
    """Open ``directory`` for a run. A run that is resumed is read and held; nothing else is touched before ``begin``.

    Raises:
        InputError: The directory is not free and neither ``resume`` nor ``force`` says what to do with it, it holds
            what is not of a run, a line was changed, or another process is writing to it.
    """
    check_output(directory, resume=resume, force=force)
    with ExitStack() as held:
        stored = None
        if resume and (directory / RUN_FILE).exists():
            held.enter_context(locked(directory))
            stored = read_run(directory)
        yield Ledger(directory, held, stored, force=force)


class Ledger:
    """An open run directory: the seed and the lines that it holds, and what is appended to it."""

    def __init__(self, directory: Path, held: ExitStack, stored: Run | None, *, force: bool) -> None:
        self._directory, self._held, self._stored, self._force = directory, held, stored, force
        self._lines: list[Line] = [] if stored is None else list(stored.lines)

    @property
    def seed(self) -> tuple[int, bool] | None:
        """Return the seed of the run that is resumed and whether it was given by hand; None of a new run."""
        return None if self._stored is None else (self._stored.record.seed, self._stored.record.seed_given)

    @property
    def stored(self) -> RunRecord | None:
        """Return the record of the run that is resumed; None of a new run."""
        return None if self._stored is None else self._stored.record

    @property
    def lines(self) -> tuple[Line, ...]:
        """Return the lines that are on disk."""
        return tuple(self._lines)

    @property
    def run(self) -> Run:
        """Return the run as it lies on disk, after ``begin``."""
        return Run(directory=self._directory, record=self._record, digest=self._digest, lines=self.lines)

    def begin(self, record: RunRecord, invocation: dict[str, object], images: bytes | None = None) -> None:
        """Make the directory ready for its next line: that of a new run, or of the same run where it is resumed.

        A line that was cut short by a crash is dropped; its image is done again at the same addresses. So is a log of
        fewer images than the run is to have. ``images`` is an archive to keep with a new run.

        Raises:
            InputError: The directory holds another run, or is in use.
        """
        if self._stored is None:
            content = self._write_record(record, invocation, images)
        else:
            asked = _as_known(record, self._stored.record)
            refuse_changes(as_continued(self._stored.record, asked), asked, self._directory)
            for name in (LEDGER_FILE, TIMINGS_FILE, USAGE_FILE):
                _drop_torn_tail(self._directory / name)
            if len(self._lines) < record.data.images:  # the log of fewer images is not the run's any more
                (self._directory / LOG_FILE).unlink(missing_ok=True)
            content = self._grow(record, invocation) if record.data.earlier else self._stored.content
        self._record, self._digest = record, sha256_hex(content)
        self._digest_at = line_digests(content, record)
        self._ledger = self._held.enter_context((self._directory / LEDGER_FILE).open("ab"))
        self._timings = self._held.enter_context((self._directory / TIMINGS_FILE).open("ab"))
        sync_directory(self._directory)

    def with_more_images(self, record: RunRecord, dataset: Dataset) -> RunRecord:
        """Return ``record``, of the run as it is asked for, with the images that the run had before it had these.

        Raises:
            InputError: The run cannot be continued to more images.
        """
        if self._stored is None:
            return record
        try:
            return grown(self._stored.record, self._stored.content, len(self._lines), record, dataset)
        except InputError as error:
            raise InputError(f"{self._directory}: {error}") from error

    def _grow(self, record: RunRecord, invocation: dict[str, object]) -> bytes:
        """Write run.json and where the images lie, if not done yet; return the content of run.json.

        The record goes first: with it the lines that there are belong to a run that is not finished.
        """
        assert self._stored is not None
        content = self._stored.content
        if record != self._stored.record:
            content = _content_of(record, self._directory / RUN_FILE)
            write_atomically(self._directory / RUN_FILE, content)
        write_atomically(self._directory / INVOCATION_FILE, (json.dumps(invocation, indent=1) + "\n").encode())
        return content

    def append(self, line: Line, seconds: float) -> None:
        """Write one image's line and make it survive a power cut before returning."""
        self._ledger.write(encode_line(line, self._digest_at(len(self._lines))).encode() + b"\n")
        self._ledger.flush()
        os.fsync(self._ledger.fileno())
        self._lines.append(line)
        timing = {"index": line.index, "seconds": round(seconds, 6)}
        self._timings.write(canonical_json(timing).encode() + b"\n")
        self._timings.flush()

    def append_usage(self, usage: dict[str, int]) -> None:
        """Write what this session drew; a session that was killed leaves no line."""
        with (self._directory / USAGE_FILE).open("ab") as file:
            file.write(canonical_json(usage).encode() + b"\n")

    def finished(self) -> Run:
        """Return the run as it lies on disk after the last line.

        Raises:
            InputError: run.json or the lines on disk are not those that were written: who reads them sees another run.
        """
        found, kept = read_form(self._directory), 0 if self._stored is None else len(self._stored.lines)
        is_same = found.digest == self._digest and len(found.lines) == len(self._lines)
        if not is_same or list(found.lines[kept:]) != self._lines[kept:]:
            raise InputError(
                f"{self._directory}: expected the files that this run wrote, found others: they were replaced while it "
                "went on; run again into another --out"
            )
        return self.run

    def _write_record(self, record: RunRecord, invocation: dict[str, object], images: bytes | None) -> bytes:
        """Write the files that come before the first line; return the content of run.json."""
        directory = self._directory
        content = _content_of(record, directory / RUN_FILE)  # before anything is deleted
        directory.mkdir(parents=True, exist_ok=True)
        sync_directory(directory.parent)
        self._held.enter_context(locked(directory))
        if self._force:
            clear_run(directory)
        if (directory / RUN_FILE).exists():  # since the directory was looked at
            raise InputError(f"{directory}: a run is there; continue it with --resume, or choose another --out")
        if images is not None:
            write_atomically(directory / IMAGES_FILE, images)
        write_atomically(directory / INVOCATION_FILE, (json.dumps(invocation, indent=1) + "\n").encode())
        write_atomically(directory / RUN_FILE, content)
        return content


def read_usage(directory: Path) -> list[dict[str, int]]:
    """Return what each session of the run drew; one that was killed left no line, and a line cut short is left out.

    Raises:
        InputError: A line is damaged.
    """
    path = directory / USAGE_FILE
    lines = path.read_bytes().split(b"\n")[:-1] if path.is_file() else []
    try:
        return [_session(parse_json(line)) for line in lines]
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(f"{path}: expected a line of counts a session, found {error}; delete the file") from error


def _session(value: Any) -> dict[str, int]:
    is_usage = set(value) == _USAGE and all(type(count) is int and 0 <= count <= _MOST_ROWS for count in value.values())
    if not is_usage:
        raise ValueError(f"{reprlib.repr(value)}")
    return dict(value)


def _content_of(record: RunRecord, path: Path) -> bytes:
    """Return the bytes of run.json.

    Raises:
        InputError: They could not be read back as this record.
    """
    try:
        content = run_json(asdict(record))
    except (TypeError, ValueError) as error:
        raise InputError(f"{path}: expected plain numbers and texts, got {error}") from error
    if record_of(path, content) != record:
        raise InputError(f"{path}: expected a record that reads back as it is, got {record}")
    return content


def _as_known(record: RunRecord, stored: RunRecord) -> RunRecord:
    """Return ``record`` without the slice, where ``stored`` is of an older version and does not know it."""
    return record if stored.data.slice is not None else replace(record, data=replace(record.data, slice=None))


def _drop_torn_tail(path: Path) -> None:
    content = path.read_bytes() if path.exists() else b""
    whole = content.rfind(b"\n") + 1
    if whole < len(content):
        with path.open("r+b") as file:
            file.truncate(whole)
            os.fsync(file.fileno())
