"""Runs written down by hand, for what reads runs."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from purecert.engine.procedures.outcomes import Abstention, Certificate, Outcome
from purecert.engine.procedures.spec import Mode
from purecert.engine.records.lines import Line
from purecert.engine.records.run import Run
from purecert.engine.records.run_record import RunRecord
from support.records import DATA, RUN, with_spec


def written_record(
    images: int, *, mode: Mode = "certify", sigma: float = 0.5, n: int = 100_000, alpha: float = 1e-3
) -> RunRecord:
    """Return the record of a run that no mark applies to."""
    data = replace(DATA, images=images)
    return with_spec(replace(RUN, data=data), mode=mode, sigma=sigma, n_estimate=n, alpha=alpha)


def written_run(directory: Path, rows: Sequence[Line], record: RunRecord | None = None) -> Run:
    """Return a run of these rows, complete unless ``record`` asks for more images."""
    return Run(directory=directory, record=record or written_record(len(rows)), digest="0" * 64, lines=tuple(rows))


def outcome_row(index: int, outcome: Outcome) -> Line:
    """Return the row of an image of class 0."""
    return Line(index=index, label=0, outcome=outcome, counts=({"0": 100}, {"0": 1000}))


def certified_row(index: int, radius: float, *, predicted: int = 0) -> Line:
    """Return the row of an image of class 0, certified to be of class ``predicted``."""
    return outcome_row(index, Certificate(predicted=predicted, p_lower=0.9, radius=radius))


def mixed_run(radii: Sequence[float], wrong: Sequence[float] = (), abstained: int = 0) -> Run:
    """Return a run with a right certificate of each of ``radii``, a wrong one of each of ``wrong``, and abstentions."""
    rows = [certified_row(0, radius) for radius in radii] + [certified_row(0, radius, predicted=1) for radius in wrong]
    rows += [outcome_row(0, Abstention())] * abstained
    return written_run(Path("mixed"), [replace(row, index=index) for index, row in enumerate(rows)])
