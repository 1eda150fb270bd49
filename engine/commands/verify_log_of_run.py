"""The part of ``engine-verify`` that compares a run's ``cohen.tsv`` with its ledger."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from purecert.engine.records.run import Run

_TIME = re.compile(r"|\d+:\d\d:\d\d(\.\d+)?|\d+(\.\d+)?", re.ASCII)  # an image whose timing was lost has none
_MOST_BYTES_PER_ROW = 400  # of eight short columns


def cohen_problems(run: Run) -> list[str]:
    """Return in what ``cohen.tsv`` beside ``run``, if there is one, is not its ledger's; times fix nothing.

    The file must be, column by column, what purecert writes of the ledger's lines.
    """
    from purecert.engine.errors import InputError
    from purecert.engine.logs.cohen_tsv import COHEN_FILE, format_cohen_tsv

    path = run.directory / COHEN_FILE
    if not path.exists() and not path.is_symlink():
        return []
    if path.is_symlink() or not path.is_file():
        return [f"{COHEN_FILE}: expected a file of the run, found none"]
    if path.stat().st_size > _MOST_BYTES_PER_ROW * (len(run.lines) + 1):
        return [f"{COHEN_FILE}: expected {len(run.lines)} rows, found more than they can take"]
    try:
        expected = format_cohen_tsv(run.lines, {}, radii=run.record.spec.mode == "certify")
    except InputError as error:
        return [f"{COHEN_FILE}: {error}"]
    found = path.read_bytes().decode("utf-8", "replace").split("\n")
    for number, (ours, theirs) in enumerate(zip(expected.split("\n"), found, strict=False), 1):
        if _timeless(ours) != _timeless(theirs):
            return [f"{COHEN_FILE}:{number}: expected {_timeless(ours)!r} by the ledger, found {_timeless(theirs)!r}"]
        if number > 1 and theirs and not _TIME.fullmatch(theirs.rpartition("\t")[2]):
            return [f"{COHEN_FILE}:{number}: expected a time as h:mm:ss.ffffff or in seconds, or none, at the end"]
    rows = expected.count("\n")
    if len(found) != rows + 1 or found[-1]:
        return [f"{COHEN_FILE}: expected {rows} lines by the ledger, each with its end, found others"]
    return []


def _timeless(row: str) -> str:
    """Return a row without its last column, the time."""
    return row.rpartition("\t")[0]
