"""Runs at an alpha that is shared among all their certificates, so that all hold together."""

from collections.abc import Sequence
from dataclasses import replace

from purecert.engine.errors import InputError
from purecert.engine.noise.inputs import total_variation
from purecert.engine.procedures.certify import certificate
from purecert.engine.procedures.outcomes import Abstention, Certificate, Outcome, Prediction
from purecert.engine.records.counts import class_counted, dense_counts
from purecert.engine.records.ledger import Run
from purecert.engine.records.lines import Row
from purecert.engine.records.run_record import RunRecord


def claims_of(runs: Sequence[Run]) -> int:
    """Return how many claims the runs may make: one an image, abstentions too, since any could have been false."""
    return sum(len(run.rows) for run in runs)


def at_shared_alpha(runs: Sequence[Run]) -> list[Run]:
    """Return the runs with each certificate at its alpha divided by the number of claims of all runs.

    Then all claims of all runs hold with probability 1 - alpha (Bonferroni: the union bound, whatever they share).
    Recomputed from the counts alone. Where a run stopped early that is sound because its bound holds at every number
    of draws at any alpha; the exact bound after the last draw shares its part of alpha likewise. What was given up
    stays given up.
    """
    count = max(1, claims_of(runs))
    return [_at_share(run, count) for run in runs]


def _at_share(run: Run, count: int) -> Run:
    record = run.record
    stop = record.stop and replace(record.stop, alpha_final=record.stop.alpha_final / count)
    shared = replace(record, alpha=record.alpha / count, stop=stop)
    tv = total_variation(record.noise_elements, record.sigma)
    return replace(run, record=shared, rows=tuple(replace(row, outcome=_outcome(shared, row, tv)) for row in run.rows))


def _outcome(record: RunRecord, row: Row, tv: float) -> Outcome:
    """Return what the counts of ``row`` prove at the alpha of ``record``, which is less than they were drawn for."""
    match row.outcome:
        case Certificate():
            return _certificate(record, row, tv)
        case Prediction(p_value=p_value) if p_value <= record.alpha:  # holds at any level, also where it stopped
            return row.outcome
    return Abstention()


def _certificate(record: RunRecord, row: Row, tv: float) -> Outcome:
    top, counts = class_counted(record, row), dense_counts(row.counts[-1], record.classes)
    try:
        return certificate(record.spec, tv, top, counts)
    except InputError:  # so many draws can certify nothing at this alpha, or none of the listed radii
        return Abstention()
