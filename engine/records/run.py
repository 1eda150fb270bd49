"""A run as read from its directory: the record, and the lines that are complete."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from purecert.engine.errors import InputError
from purecert.engine.files.canonical import sha256_hex
from purecert.engine.files.strict_json import read_document
from purecert.engine.procedures.spec import SmoothingSpec
from purecert.engine.records.lines import Line, decode_line
from purecert.engine.records.run_directory import LEDGER_FILE, RUN_FILE
from purecert.engine.records.run_record import RUN_SCHEMA, RunRecord

_FLAT_SCHEMA = "purecert.run/3"  # as /4, with the fields of spec beside the others and gated in backend
_STEPLESS_SCHEMA = "purecert.run/4"  # as RUN_SCHEMA, without the step of spec


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """A run directory as read. ``digest`` is the SHA-256 of run.json as it lies on disk, whatever its schema."""

    directory: Path
    record: RunRecord
    digest: str
    lines: tuple[Line, ...]


def read_run(directory: Path) -> Run:
    """Return the run in ``directory``; a last line that a crash cut short is left out.

    Raises:
        InputError: There is no run, or run.json or a line is not what this version or an older one wrote.
    """
    record, digest = _read_record(directory)
    path = directory / LEDGER_FILE
    *whole, tail = (path.read_bytes() if path.exists() else b"").split(b"\n")
    lines = []
    for number, line in enumerate(whole, 1):
        try:
            lines.append(decode_line(line.decode("ascii", "replace"), digest))
        except InputError as error:
            raise InputError(f"{path}:{number}: {error}") from error
    if tail and _is_line(tail[:-1], digest):
        raise InputError(f"{path}:{len(lines) + 1}: expected a newline, found {tail[-1:]!r}; it was changed")
    return Run(directory=directory, record=record, digest=digest, lines=tuple(lines))


def _read_record(directory: Path) -> tuple[RunRecord, str]:
    path = directory / RUN_FILE
    if not path.is_file():
        raise InputError(f"{directory}: expected a run directory with {RUN_FILE}, found none; is the path right?")
    content = path.read_bytes()
    return record_of(path, content), sha256_hex(content)


def record_of(path: Path, content: bytes) -> RunRecord:
    """Return the record that ``content``, of the file ``path``, holds.

    Raises:
        InputError: It is not what this version or an older one wrote.
    """
    return read_document(
        RunRecord,
        path,
        content,
        RUN_SCHEMA,
        damaged="the run cannot be used",
        other_version="use the version that made it",
        older={_FLAT_SCHEMA: _from_flat, _STEPLESS_SCHEMA: _from_stepless},
    )


def _from_flat(value: dict[str, Any]) -> dict[str, Any]:
    """Return run.json of the older schema as today's; what it lacks or has too much is left to the strict reader."""
    spec_fields = [name for name in SmoothingSpec.__dataclass_fields__ if name != "step"]
    if "spec" in value or "gated" in value:
        raise InputError(f"expected the fields of schema {_FLAT_SCHEMA}, found those of {_STEPLESS_SCHEMA} among them")
    record = {name: entry for name, entry in value.items() if name not in spec_fields}
    record["spec"] = {name: value[name] for name in spec_fields if name in value}
    if isinstance(backend := value.get("backend"), dict) and "gated" in backend:
        record["backend"] = {name: entry for name, entry in backend.items() if name != "gated"}
        record["gated"] = backend["gated"]
    return _from_stepless(record)


def _from_stepless(value: dict[str, Any]) -> dict[str, Any]:
    """Return run.json of schema purecert.run/4 as today's; as ``_from_flat``."""
    spec = value.get("spec")
    if isinstance(spec, dict) and "step" in spec:
        raise InputError(f"expected the fields of schema {_STEPLESS_SCHEMA}, found those of {RUN_SCHEMA} among them")
    stepped = spec | {"step": 1} if isinstance(spec, dict) else spec
    return value | {"schema": RUN_SCHEMA} | ({"spec": stepped} if "spec" in value else {})


def _is_line(line: bytes, digest: str) -> bool:
    try:
        decode_line(line.decode("ascii", "replace"), digest)
    except InputError:
        return False
    return True
