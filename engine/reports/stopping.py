"""What a run that may stop early drew, and how much it settled before it ran out of draws."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from purecert.engine.procedures.outcomes import Certificate, stops_of
from purecert.engine.procedures.spec import StopSpec
from purecert.engine.procedures.stopping import RadiiRule
from purecert.engine.procedures.tables.rule import TableRule, stop_rule
from purecert.engine.records.lines import Line, dense_counts, draws_of
from purecert.engine.records.run_record import RunRecord, class_counted
from purecert.engine.reports.text import reaches
from purecert.engine.statistics.table_regret import chances_given_up, total_of

GIVEN_UP_LEVEL = 0.95  # of the range around what fixed n would add


@dataclass(frozen=True, kw_only=True, slots=True)
class GivenUp:
    """What fixed n would be expected to add, by the law of images that the tables were made for."""

    images: float  # that would be certified out to a larger listed radius, expected
    at_least: int  # with probability 95 %
    at_most: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Stopping:
    """How a run stops, and what came of it. Means are over the finished images."""

    rule: StopSpec  # without its tables
    alpha: float  # of one image, at which the draws stopped
    alpha_stop: float  # the part of alpha for the bound that holds at every look
    mean_looks: float
    ended_early: int  # images with fewer draws than they may have had
    out_of_reach: tuple[float, ...]  # listed radii that not even draws which all agree certify: none is asked for
    radii_asked: int  # images times the other listed radii; 0 where no radii are listed
    radii_undecided: int  # of them, neither certified nor given up by the draws that there are
    given_up: GivenUp | None  # where stopping tables decide


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
    undecided = sum(_undecided_of(rule, record, line) for line in rows) if isinstance(rule, RadiiRule) else 0
    return Stopping(
        rule=replace(stop, tables=()),
        alpha=record.spec.alpha,
        alpha_stop=record.spec.alpha_stop,
        mean_looks=sum(line.looks for line in rows) / len(rows),
        ended_early=sum(draws_of(line) < most for line in rows),
        out_of_reach=tuple(radius for radius in stop.radii if radius not in radii),
        radii_asked=len(radii) * len(rows),
        radii_undecided=undecided,
        given_up=_given_up(rule, rows) if isinstance(rule, TableRule) else None,
    )


def _given_up(rule: TableRule, rows: Sequence[Line]) -> GivenUp:
    """Return how many images the rest of n draws would be expected to certify at the first radius they gave up."""
    ends = list(_first_given_up(rule, rows))
    chances = [
        chances_given_up(table, *zip(*looks, strict=True))
        for place, table in enumerate(rule.tables)
        if (looks := [look for first, look in ends if first == place])
    ]
    images, at_least, at_most = total_of(np.concatenate([np.zeros(0), *chances]), GIVEN_UP_LEVEL)
    return GivenUp(images=images, at_least=at_least, at_most=at_most)


def _first_given_up(rule: TableRule, rows: Sequence[Line]) -> Iterator[tuple[int, tuple[int, int]]]:
    """Yield of each image the place of the smallest radius that was given up, and after which draws."""
    for line in rows:
        stops = stops_of(line.outcome)
        if stops and (place := rule.certified(stops)) < len(stops):
            yield place, stops[place]


def _radii_rule(record: RunRecord) -> RadiiRule | TableRule | None:
    if record.spec.stop is None or record.spec.stop.rule != "radii":
        return None
    rule = stop_rule(record.spec, record.tv)
    assert isinstance(rule, RadiiRule | TableRule)
    return rule


def _undecided_of(rule: RadiiRule, record: RunRecord, line: Line) -> int:
    top = class_counted(record, line)
    if top is None:
        return 0
    counts = dense_counts(line.counts[-1], record.classes)
    reached = line.outcome.radius if isinstance(line.outcome, Certificate) else -1.0
    return sum(not reaches(reached, radius) for radius in rule.not_given_up(int(counts[top]), int(counts.sum())))
