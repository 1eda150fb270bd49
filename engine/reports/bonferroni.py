"""Runs at an alpha that is shared among all their certificates, so that all hold together."""

from collections.abc import Sequence
from dataclasses import replace

from purecert.engine.errors import InputError
from purecert.engine.procedures.certify import certificate
from purecert.engine.procedures.outcomes import Abstention, Certificate, Outcome, Prediction
from purecert.engine.records.lines import Line, dense_counts
from purecert.engine.records.run import Run
from purecert.engine.records.run_record import RunRecord, class_counted


def claims_of(runs: Sequence[Run]) -> int:
    """Return how many claims the runs may make: one an image, abstentions too, since any could have been false."""
    return sum(len(run.lines) for run in runs)


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
    spec = run.record.spec
    stop = spec.stop and replace(spec.stop, alpha_final=spec.stop.alpha_final / count)
    record = replace(run.record, spec=replace(spec, alpha=spec.alpha / count, stop=stop))
    lines = tuple(replace(line, outcome=_outcome(record, line)) for line in run.lines)
    return replace(run, record=record, lines=lines)


def _outcome(record: RunRecord, line: Line) -> Outcome:
    """Return what the counts of ``line`` prove at the alpha of ``record``, which is less than they were drawn for."""
    match line.outcome:
        case Certificate():
            return _certificate(record, line)
        case Prediction(p_value=p_value) if p_value <= record.spec.alpha:  # holds at any level, also where it stopped
            return line.outcome
    return Abstention()


def _certificate(record: RunRecord, line: Line) -> Outcome:
    top, counts = class_counted(record, line), dense_counts(line.counts[-1], record.classes)
    try:
        return certificate(record.spec, record.tv, top, counts)
    except InputError:  # at this alpha so many draws certify none of the listed radii
        return Abstention()
