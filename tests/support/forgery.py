"""Runs changed afterwards by somebody who knows the format: every digest and checksum is right again."""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from purecert.engine.files.canonical import canonical_json, sha256_hex
from purecert.engine.procedures.conclusions import conclude
from purecert.engine.records.lines import Line, dense_counts, draws_of, encode_line, sparse_counts
from purecert.engine.records.run import read_run
from purecert.engine.records.run_record import RunRecord, class_counted


def lines_of(run: Path) -> list[dict[str, Any]]:
    """Return the ledger's lines without their checksums."""
    lines = (run / "certificates.jsonl").read_text().splitlines()
    return [{key: value for key, value in json.loads(line).items() if key != "check"} for line in lines]


def seal(run: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Write ``rows`` as the ledger, each with a right checksum."""
    sealed = [row | {"check": sha256_hex(canonical_json(row).encode())[:16]} for row in rows]
    (run / "certificates.jsonl").write_text("".join(canonical_json(row) + "\n" for row in sealed))


_IN_ORDER = ("index", "label", "outcome", "predicted", "p_lower", "radius", "p_value", "stops", "counts", "looks")


def reseal_all(run: Path, content: bytes, rows: Sequence[dict[str, Any]]) -> None:
    """Write ``content`` as run.json, and ``rows`` that belong to it, their fields in the order of a line's."""
    (run / "run.json").write_bytes(content)
    digest = sha256_hex(content)
    seal(run, [{name: row[name] for name in _IN_ORDER if name in row} | {"run": digest} for row in rows])


def reseal(run: Path, rows: Sequence[dict[str, Any]], **changes: Any) -> None:
    """Write run.json with ``changes`` of its parts or of other fields, and ``rows`` that belong to it."""
    record = json.loads((run / "run.json").read_text())
    parts = {part: record[part] | changes.pop(part, {}) for part in ("backend", "data", "spec")}
    content = json.dumps(record | changes | parts, indent=1) + "\n"
    (run / "run.json").write_text(content)
    seal(run, [row | {"run": sha256_hex(content.encode())} for row in rows])


def rewrite(run: Path, change: Callable[[RunRecord, Line], Line], **changes: Any) -> None:
    """Write every line anew as ``change`` makes it, into a run.json with ``changes`` as of ``reseal``."""
    stored = read_run(run)
    lines = [change(stored.record, line) for line in stored.lines]
    reseal(run, [], **changes)
    digest = sha256_hex((run / "run.json").read_bytes())
    (run / "certificates.jsonl").write_text("".join(encode_line(line, digest) + "\n" for line in lines))


def leaning(share: float) -> Callable[[RunRecord, Line], Line]:
    """Return what moves ``share`` of an image's draws to its class, and claims what the counts then prove."""

    def lean(record: RunRecord, line: Line) -> Line:
        top = class_counted(record, line)
        phases = [dense_counts(counts, record.classes) for counts in line.counts]
        votes, missing = phases[-1], int(share * draws_of(line))
        assert top is not None
        for rival in range(record.classes):
            moved = min(missing, int(votes[rival])) if rival != top else 0
            votes[rival] -= moved
            votes[top] += moved
            missing -= moved
        outcome = conclude(record.spec, record.tv, phases, line.label)
        return replace(line, outcome=outcome, counts=tuple(sparse_counts(counts) for counts in phases))

    return lean


def unchanged(_: RunRecord, line: Line) -> Line:
    """Return the line as it is."""
    return line
