"""What a replay on another engine tells: which claims its own counts keep, and whether the differences lean one way."""

from collections.abc import Mapping, Sequence

import numpy as np

from purecert.engine.backends.vote_limits import LIMITS, Limits
from purecert.engine.procedures.certify import certificate
from purecert.engine.procedures.drawing import Counts, top_class
from purecert.engine.procedures.outcomes import Abstention, Certificate, Outcome, Stops, stops_of
from purecert.engine.procedures.predict import early_prediction, prediction
from purecert.engine.procedures.spec import DEFAULT_RADII
from purecert.engine.records.lines import dense_counts, draws_of
from purecert.engine.records.run_record import RunRecord, class_counted
from purecert.engine.reports.text import reaches
from purecert.engine.statistics.vote_tests import LEVEL, leaning_p_value
from purecert.engine.verification.replay import Replayed, differing_votes
from purecert.engine.verification.result import Claims, Elsewhere

# What export admits of a plan; of FP32 as of FP16, in which another engine may have run it.
_LIMITS: Mapping[str, Limits] = {"bf16": LIMITS["bf16"], "int8": LIMITS["int8"]}
_USUAL = LIMITS["fp16"]


def most_differing(precision: str) -> float:
    """Return the share of one image's labels that may differ on another engine, of a plan in ``precision``.

    That is what export admits, and as much again for chance in a single image.
    """
    return round(2 * (1 - _LIMITS.get(precision, _USUAL).agreement), 6)


def most_lost(precision: str) -> float:
    """Return the share of votes that export admits to be lost in ``precision``, on average over images."""
    return _LIMITS.get(precision, _USUAL).net_loss


def compare_elsewhere(record: RunRecord, replayed: Sequence[Replayed], *, same_precision: bool) -> Elsewhere:
    """Return what the replay on another engine keeps of the claims, and how the differing votes lean."""
    nets, most = (
        _nets(record, replayed),
        [int(most_differing(record.precision) * draws_of(each.line)) for each in replayed],
    )
    return Elsewhere(
        toward=sum(max(net, 0) for net in nets),
        away=sum(max(-net, 0) for net in nets),
        p_value=_leaning(nets, most, 0.0 if same_precision else most_lean(record.precision)),
        claims=_claims(record, replayed),
    )


def most_lean(precision: str) -> float:
    """Return by how much differing votes may lean, as a share of them, where a run computed in another precision."""
    return most_lost(precision) / most_differing(precision)


def leaning_problems(elsewhere: Elsewhere) -> list[str]:
    """Return the problem that the differing votes lean toward the classes that are claimed, if they do."""
    if elsewhere.p_value > LEVEL:
        return []
    return [
        f"differing votes lean toward the claimed classes: {elsewhere.toward} toward, {elsewhere.away} away, "
        f"p = {elsewhere.p_value:.1e} by chance"
    ]


def _nets(record: RunRecord, replayed: Sequence[Replayed]) -> list[int]:
    """Return by how many votes the run's lines have more for their classes than the replay has."""
    nets = []
    for each in replayed:
        top = class_counted(record, each.line)
        key = str(top)
        is_counted = top is not None and len(each.counts) == len(each.line.counts)
        nets.append(each.line.counts[-1].get(key, 0) - each.counts[-1].get(key, 0) if is_counted else 0)
    return nets


def _leaning(nets: Sequence[int], most: Sequence[int], lean: float) -> float:
    """Return the p-value over all images and over each, corrected for that many tests."""
    # So that votes that differ as often as they may do lean by as much as export admits, and no further.
    chance = 0.5 + lean / 2
    pairs = [(sum(nets), sum(most)), *zip(nets, most, strict=True)]
    return min(1.0, len(pairs) * min(leaning_p_value(net, max(net, at_most), chance) for net, at_most in pairs))


def _claims(record: RunRecord, replayed: Sequence[Replayed]) -> Claims:
    spec = record.spec
    radii = () if spec.mode == "predict" else (spec.stop.radii if spec.stop and spec.stop.radii else DEFAULT_RADII)
    written, own, smaller = [], [], []
    for each in replayed:
        counted = [each.line.outcome, _own(record, each), _taken_away(record, each)]
        reached = [_reached(outcome, each.line.outcome, radii) for outcome in counted]
        written.append(reached[0])
        own.append(reached[1])
        smaller.append(reached[1] & reached[2])
    sums = [tuple(int(count) for count in np.sum(kept, axis=0)) for kept in (written, own, smaller)]
    return Claims(radii=radii, as_written=sums[0], replayed=sums[1], smaller=sums[2])


def _reached(outcome: Outcome, written: Outcome, radii: Sequence[float]) -> np.ndarray:
    """Return for each radius (for a prediction: once) whether ``outcome`` claims the class that is ``written``."""
    if isinstance(outcome, Abstention) or isinstance(written, Abstention) or outcome.predicted != written.predicted:
        return np.zeros(len(radii) or 1, bool)
    if isinstance(outcome, Certificate):
        return np.array([reaches(outcome.radius, radius) for radius in radii])
    return np.ones(1, bool)


def _own(record: RunRecord, each: Replayed) -> Outcome:
    """Return what the replay's counts prove."""
    phases = [dense_counts(counts, record.classes) for counts in each.counts]
    top = each.line.label if record.spec.against_label else top_class(phases[0])
    if each.stops and top != class_counted(record, each.line):
        return Abstention()  # the tables looked at the draws of another class
    return _proved(record, top, phases, each.stops)


def _taken_away(record: RunRecord, each: Replayed) -> Outcome:
    """Return what the line's counts prove where every differing draw is taken from the class and given to a rival."""
    top = class_counted(record, each.line)
    phases = [dense_counts(counts, record.classes) for counts in each.line.counts]
    if top is None:
        return Abstention()
    differing = sum(differing_votes(one, other) for one, other in zip(each.counts, each.line.counts, strict=False))
    votes = phases[-1]
    moved = min(differing, int(votes[top]))
    rivals = votes.copy()
    rivals[top] = -1
    votes[top] -= moved
    votes[int(rivals.argmax())] += moved
    fewer = tuple((draws, max(0, successes - differing)) for draws, successes in stops_of(each.line.outcome))
    return _proved(record, top, phases, fewer)


def _proved(record: RunRecord, top: int | None, phases: Sequence[Counts], stops: Stops) -> Outcome:
    """Return what counts prove, also where a rule would have stopped earlier or later: its bounds hold at every n.

    Of stopping tables it is which radii their looks certify, where the run looked.
    """
    spec = record.spec
    if len(phases) < 1 + spec.selects:
        return Abstention()
    if spec.mode == "certify":
        return certificate(spec, record.tv, top, phases[-1], stops)
    if spec.stop is None:
        return prediction(spec, record.tv, phases[-1])
    return early_prediction(spec, record.tv, top, phases[-1])
