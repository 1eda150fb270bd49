"""What a run that may stop early drew, and how much it settled before it ran out of draws."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from purecert.engine.certificates import Certificate, Row
from purecert.engine.counts import dense_counts
from purecert.engine.errors import InputError
from purecert.engine.noise_inputs import total_variation
from purecert.engine.procedures import top_class
from purecert.engine.run_record import RunRecord
from purecert.engine.spec import StopSpec
from purecert.engine.stopping import RadiiRule, stop_rule


@dataclass(frozen=True, kw_only=True, slots=True)
class Stopping:
    """How a run stops, and what came of it. Means are over the finished images."""

    rule: StopSpec
    alpha_stop: float  # the part of alpha for the bound that holds at every look
    mean_looks: float
    ended_early: int  # images with fewer draws than they may have had
    radii_asked: int  # images times listed radii; 0 where no radii are listed
    radii_undecided: int  # of them, neither certified nor given up when the draws ran out


def stopping_of(record: RunRecord, rows: Sequence[Row]) -> Stopping | None:
    """Return how the run stopped; None where the number of draws is fixed, or no image is finished."""
    stop = record.stop
    if stop is None or not rows:
        return None
    most = record.spec.max_rows
    return Stopping(
        rule=stop,
        alpha_stop=record.spec.alpha_stop,
        mean_looks=sum(row.looks for row in rows) / len(rows),
        ended_early=sum(draws_of(row) < most for row in rows),
        radii_asked=len(stop.radii) * len(rows),
        radii_undecided=_undecided(record, rows) if stop.radii else 0,
    )


def draws_of(row: Row) -> int:
    """Return how many draws an image took, of both phases."""
    return sum(sum(phase.values()) for phase in row.counts)


def class_counted(record: RunRecord, row: Row) -> int | None:
    """Return the class that the draws of the last phase speak of; None where no valid draw named one."""
    return row.label if record.against_label else top_class(dense_counts(row.counts[0], record.classes))


def reaches(radius: float, asked: float) -> bool:
    """Return whether ``radius`` is at least ``asked`` as it is written (the double nearest to 0.3 lies below 0.3)."""
    return Decimal(radius) >= Decimal(repr(asked))


def _undecided(record: RunRecord, rows: Sequence[Row]) -> int:
    try:
        rule = stop_rule(record.spec, total_variation(record.noise_elements, record.sigma))
    except InputError:  # no radius is within reach, so all are given up
        return 0
    assert isinstance(rule, RadiiRule)
    return sum(_undecided_of(rule, record, row) for row in rows if draws_of(row) == record.spec.max_rows)


def _undecided_of(rule: RadiiRule, record: RunRecord, row: Row) -> int:
    top = class_counted(record, row)
    if top is None:
        return 0
    counts = dense_counts(row.counts[-1], record.classes)
    reached = row.outcome.radius if isinstance(row.outcome, Certificate) else -1.0
    return sum(not reaches(reached, radius) for radius in rule.not_given_up(int(counts[top]), int(counts.sum())))
