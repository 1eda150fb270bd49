"""What a run that may stop early drew, and how much it settled before it ran out of draws."""

from collections.abc import Sequence
from dataclasses import dataclass

from purecert.engine.procedures.outcomes import Certificate
from purecert.engine.procedures.spec import StopSpec
from purecert.engine.procedures.stopping import RadiiRule, stop_rule
from purecert.engine.records.lines import Line, dense_counts, draws_of
from purecert.engine.records.run_record import RunRecord, class_counted
from purecert.engine.reports.text import reaches


@dataclass(frozen=True, kw_only=True, slots=True)
class Stopping:
    """How a run stops, and what came of it. Means are over the finished images."""

    rule: StopSpec
    alpha: float  # of one image, at which the draws stopped
    alpha_stop: float  # the part of alpha for the bound that holds at every look
    mean_looks: float
    ended_early: int  # images with fewer draws than they may have had
    out_of_reach: tuple[float, ...]  # listed radii that not even draws which all agree certify: none is asked for
    radii_asked: int  # images times the other listed radii; 0 where no radii are listed
    radii_undecided: int  # of them, neither certified nor given up by the draws that there are


def stopping_of(record: RunRecord, rows: Sequence[Line]) -> Stopping | None:
    """Return how the run stopped; None where the number of draws is fixed, or no image is finished.

    Args:
        record: Of the run as its draws were made.
        rows: With what they are now taken to prove, at that alpha or at a smaller one.

    Raises:
        InputError: The record lists radii of which none is within reach.
    """
    stop = record.spec.stop
    if stop is None or not rows:
        return None
    most, rule = record.spec.max_rows, _radii_rule(record)
    radii = rule.radii if rule else ()
    return Stopping(
        rule=stop,
        alpha=record.spec.alpha,
        alpha_stop=record.spec.alpha_stop,
        mean_looks=sum(line.looks for line in rows) / len(rows),
        ended_early=sum(draws_of(line) < most for line in rows),
        out_of_reach=tuple(radius for radius in stop.radii if radius not in radii),
        radii_asked=len(radii) * len(rows),
        radii_undecided=sum(_undecided_of(rule, record, line) for line in rows) if rule else 0,
    )


def _radii_rule(record: RunRecord) -> RadiiRule | None:
    if record.spec.stop is None or record.spec.stop.rule != "radii":
        return None
    rule = stop_rule(record.spec, record.tv)
    assert isinstance(rule, RadiiRule)
    return rule


def _undecided_of(rule: RadiiRule, record: RunRecord, line: Line) -> int:
    top = class_counted(record, line)
    if top is None:
        return 0
    counts = dense_counts(line.counts[-1], record.classes)
    reached = line.outcome.radius if isinstance(line.outcome, Certificate) else -1.0
    return sum(not reaches(reached, radius) for radius in rule.not_given_up(int(counts[top]), int(counts.sum())))
