"""A run as read from its directory: the record, and the lines that are complete."""

from dataclasses import dataclass, field, replace
from pathlib import Path

from purecert.engine.errors import InputError
from purecert.engine.files.canonical import sha256_hex
from purecert.engine.files.strict_json import parse_json, read_document
from purecert.engine.records.growing import line_digests
from purecert.engine.records.line_checks import checked_lines
from purecert.engine.records.lines import Line, decode_line
from purecert.engine.records.older_schemas import OLDER
from purecert.engine.records.run_directory import LEDGER_FILE, RUN_FILE
from purecert.engine.records.run_record import RUN_SCHEMA, RunRecord

_FITTED = ("purecert.run/5", "purecert.run/6", RUN_SCHEMA)  # since when looks fit the placement


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """A run directory as read. ``digest`` is the SHA-256 of run.json as it lies on disk, whatever its schema."""

    directory: Path
    record: RunRecord
    digest: str
    lines: tuple[Line, ...]
    content: bytes = field(default=b"", repr=False, compare=False)  # of run.json, where it was read


def read_run(directory: Path) -> Run:
    """Return the run in ``directory``, each claim recomputed from its counts; a last line cut short is left out.

    Raises:
        InputError: There is no run, run.json or a line is not what this version or an older one wrote, or a line does
            not follow from its counts.
    """
    run = read_form(directory)
    try:
        return replace(run, lines=checked_lines(run.record, run.lines))
    except InputError as error:
        raise InputError(f"{directory}: {error}; the run was changed or is of another version") from error


def read_form(directory: Path) -> Run:
    """Return the run in ``directory`` as it is written: for what judges by itself whether the lines are right.

    Raises:
        InputError: There is no run, or run.json or a line is not what this version or an older one wrote.
    """
    record, content = _read_record(directory)
    digest_at = line_digests(content, record)
    path = directory / LEDGER_FILE
    if path.exists() and not path.is_file():
        raise InputError(f"{path}: expected a file of certificates, found none; it was changed")
    *whole, tail = (path.read_bytes() if path.exists() else b"").split(b"\n")
    lines = []
    for number, line in enumerate(whole, 1):
        try:
            lines.append(decode_line(line.decode("ascii", "replace"), digest_at(number - 1)))
        except InputError as error:
            raise InputError(f"{path}:{number}: {error}") from error
    if tail and _is_line(tail[:-1], digest_at(len(lines))):
        raise InputError(f"{path}:{len(lines) + 1}: expected a newline, found {tail[-1:]!r}; it was changed")
    return Run(directory=directory, record=record, digest=sha256_hex(content), lines=tuple(lines), content=content)


def _read_record(directory: Path) -> tuple[RunRecord, bytes]:
    path = directory / RUN_FILE
    if not path.is_file():
        raise InputError(f"{directory}: expected a run directory with {RUN_FILE}, found none; is the path right?")
    content = path.read_bytes()
    return record_of(path, content), content


def record_of(path: Path, content: bytes) -> RunRecord:
    """Return the record that ``content``, of the file ``path``, holds.

    Raises:
        InputError: It is not what this version or an older one wrote.
    """
    record = read_document(
        RunRecord,
        path,
        content,
        RUN_SCHEMA,
        damaged="the run cannot be used",
        other_version="use the version that made it",
        older=OLDER,
    )
    if parse_json(content)["schema"] in _FITTED and record.step_problem is not None:
        raise InputError(f"{path}: {record.step_problem}")
    return record


def _is_line(line: bytes, digest: str) -> bool:
    try:
        decode_line(line.decode("ascii", "replace"), digest)
    except InputError:
        return False
    return True
