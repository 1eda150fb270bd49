"""Runs written down by hand, for what reads runs."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from purecert.engine.certificates import Row
from purecert.engine.ledger import Run
from purecert.engine.run_record import RunRecord
from purecert.engine.spec import Mode
from support.records import DATA, RUN


def written_record(
    images: int, *, mode: Mode = "certify", sigma: float = 0.5, n: int = 100_000, alpha: float = 1e-3
) -> RunRecord:
    """Return the record of a run that no mark applies to."""
    data = replace(DATA, images=images)
    return replace(RUN, mode=mode, sigma=sigma, n_estimate=n, alpha=alpha, data=data)


def written_run(directory: Path, rows: Sequence[Row], record: RunRecord | None = None) -> Run:
    """Return a run of these rows, complete unless ``record`` asks for more images."""
    return Run(directory=directory, record=record or written_record(len(rows)), digest="0" * 64, rows=tuple(rows))
