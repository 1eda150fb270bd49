"""Runs at an alpha that is shared among all their certificates, so that all hold together."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from purecert.engine.errors import InputError
from purecert.engine.procedures.certify import certificates
from purecert.engine.procedures.outcomes import Abstention, Certificate, Outcome, Prediction, stops_of
from purecert.engine.records.lines import Line
from purecert.engine.records.run import Run
from purecert.engine.records.run_record import RunRecord


def claims_of(runs: Sequence[Run]) -> int:
    """Return how many claims the runs set out to make: one an image, also where it abstained or is not finished.

    Any of them could have been false, and a run that was cut short after a look at its lines set out for no fewer.
    """
    return sum(run.record.data.images for run in runs)


def at_shared_alpha(runs: Sequence[Run]) -> list[Run]:
    """Return the runs with each certificate at its alpha divided by the number of claims of all runs.

    Then all claims of all runs hold with probability 1 - alpha (Bonferroni: the union bound, whatever they share).
    Recomputed from the counts alone. Where a run stopped early that is sound because its bound holds at every number
    of draws at any alpha; the exact bound after the last draw shares its part of alpha likewise. What was given up
    stays given up. What a stopping table certified is of its own alpha, so of a run with tables it is that bound too.
    """
    for run in runs:
        if run.record.data.earlier:
            raise InputError(
                f"--bonferroni: expected runs whose number of images was fixed in advance, found {run.directory} with "
                "more images later; leave it out, or run all of them anew"
            )
    count = max(1, claims_of(runs))
    return [_at_share(run, count) for run in runs]


def _at_share(run: Run, count: int) -> Run:
    spec = run.record.spec
    stop = spec.stop and replace(spec.stop, alpha_final=spec.stop.alpha_final / count, price=None, tables=())
    # Both looks of draws that may be continued share it likewise.
    parts = spec.extension and replace(spec.extension, alpha_first=spec.extension.alpha_first / count)
    record = replace(run.record, spec=replace(spec, alpha=spec.alpha / count, stop=stop, extension=parts))
    certified = [line for line in run.lines if isinstance(line.outcome, Certificate)]
    anew = iter(_certificates(record, certified))
    lines = [
        replace(line, outcome=next(anew) if isinstance(line.outcome, Certificate) else _prediction(record, line))
        for line in run.lines
    ]
    return replace(run, record=record, lines=tuple(lines))


def _certificates(record: RunRecord, lines: Sequence[Line]) -> list[Outcome]:
    """Return what the counts of certified ``lines`` prove at the alpha of ``record``, less than they were drawn for."""
    if not lines:
        return []  # of predictions, whose rule is no certificate's
    tops = [line.outcome.predicted for line in lines if isinstance(line.outcome, Certificate)]
    k = np.array([line.counts[-1].get(str(top), 0) for line, top in zip(lines, tops, strict=True)], np.int64)
    n = np.array([sum(line.counts[-1].values()) for line in lines], np.int64)
    looks = [stops_of(line.outcome) if record.spec.is_extended else () for line in lines]
    try:
        anew = certificates(record.spec, record.tv, tops, k, n, looks)
    except InputError:  # at this alpha so many draws certify none of the listed radii
        anew = [Abstention()] * len(lines)
    return [_decided_as(line, outcome) for line, outcome in zip(lines, anew, strict=True)]


def _decided_as(line: Line, outcome: Outcome) -> Outcome:
    """Return ``outcome`` with the places at which tables decided, which stay what they were."""
    return outcome if isinstance(outcome, Prediction) else replace(outcome, stops=stops_of(line.outcome))


def _prediction(record: RunRecord, line: Line) -> Outcome:
    match line.outcome:
        case Prediction(p_value=p_value) if p_value <= record.spec.alpha:  # holds at any level, also where it stopped
            return line.outcome
    return Abstention(stops_of(line.outcome))
