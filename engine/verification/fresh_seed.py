"""A share of a run certified again under a seed that the run's maker could not know.

A replay repeats the run's own draws, so it agrees with a graph that was fitted to them, or to which the seed was. Fresh
draws do not. At a fixed n both times' votes have one law, image by image, which one exact test compares. Where draws
stop early, votes lean upward in every honest run, and only the two ends of one rule may be compared: by flipping signs
over images, and by counting claims that the fresh draws exclude.
"""

import math
import secrets
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace

import numpy as np

from purecert.engine.backends.base import BackendInfo, BackendOptions
from purecert.engine.images.datasets import Dataset
from purecert.engine.plans.plan import Plan
from purecert.engine.procedures.certify import certify
from purecert.engine.procedures.drawing import Counts, Procedure
from purecert.engine.procedures.outcomes import Abstention, Certificate, Outcome, Prediction
from purecert.engine.procedures.predict import predict, predict_early
from purecert.engine.records.lines import Line, dense_counts
from purecert.engine.records.run import Run
from purecert.engine.records.run_record import RunRecord, class_counted
from purecert.engine.running.scheduler import Scheduler
from purecert.engine.statistics.anytime import anytime_lower, anytime_upper
from purecert.engine.statistics.vote_tests import (
    LEVEL,
    at_least_so_many_p_value,
    flippable,
    sign_flip_p_value,
    standard_error_difference,
    stratified_p_value,
)
from purecert.engine.verification.elsewhere import most_lost
from purecert.engine.verification.engines import open_again
from purecert.engine.verification.fresh_power import power_of_early, power_of_fixed
from purecert.engine.verification.replay import chosen_lines, jobs_of
from purecert.engine.verification.result import FreshSeed

_SEED_BITS = 64
# Signs of fewer than 21 images cannot reach half of the level, and some images tie.
LEAST_IMAGES_EARLY = 30


@dataclass(frozen=True, kw_only=True, slots=True)
class Pair:
    """One image's draws of the phase that its claim speaks of: the run's, and fresh ones."""

    line: Line
    top: int  # the class that is compared
    counts: Counts
    fresh: Counts


def certify_afresh(
    run: Run, plan: Plan, dataset: Dataset, options: BackendOptions, share: float
) -> tuple[FreshSeed, BackendInfo]:
    """Return how ``share`` of the images compares under a seed of the system's entropy, and the engine that ran it.

    The row check is repeated too, on rows of that seed.

    Raises:
        BackendError: The backend is missing here, or fails.
        CheckError: Rows influence each other.
    """
    seed, record = secrets.randbits(_SEED_BITS), run.record
    lines = _chosen(run, share)
    with closing(open_again(plan, dataset, record, seed, options)) as backend:
        info = backend.info
        jobs = jobs_of(dataset, lines, lambda line: _estimation(record, line))
        fresh = [finished.counts[max(finished.counts)] for finished in Scheduler(backend).run(jobs)]
    pairs = [paired(record, line, counts) for line, counts in zip(lines, fresh, strict=True)]
    same_precision = info.executed_precision == record.backend.executed_precision
    return compare(record, pairs, seed, allowance=0.0 if same_precision else most_lost(record.precision)), info


def compare(record: RunRecord, pairs: Sequence[Pair], seed: int, *, allowance: float) -> FreshSeed:
    """Return the test of ``pairs``; ``allowance`` is the share of votes by which another precision may be ahead."""
    taken = [_Taken.of(pair, allowance) for pair in pairs]
    is_fixed = record.spec.stop is None
    contradicted = None if is_fixed else sum(_is_excluded(record, pair, allowance) for pair in pairs)
    if contradicted is None:
        columns = zip(*[(t.k, t.n, t.fresh_k, t.fresh_n) for t in taken], strict=True)
        p_value = stratified_p_value(*map(list, columns), upward_only=allowance > 0) if taken else 1.0
        power = power_of_fixed(
            [t.k for t in taken], [t.n for t in taken], [t.fresh_n for t in taken], upward_only=allowance > 0
        )
    else:
        differences = [standard_error_difference(t.k, t.n, t.fresh_k, t.fresh_n) for t in taken]
        flipped = sign_flip_p_value(differences)
        chance = 2 * record.spec.alpha + record.spec.n_estimate * record.tv
        claims = sum(not isinstance(pair.line.outcome, Abstention) for pair in pairs)
        power = power_of_early(len(pairs), flippable(differences), claims, chance)
        p_value = min(1.0, 2 * min(flipped, at_least_so_many_p_value(contradicted, len(pairs), chance)))
    return FreshSeed(
        seed=seed,
        images=len(pairs),
        test="stratified by image" if is_fixed else "sign flips over images",
        votes=sum(int(pair.counts[pair.top]) for pair in pairs),
        draws=sum(int(pair.counts.sum()) for pair in pairs),
        fresh_votes=sum(int(pair.fresh[pair.top]) for pair in pairs),
        fresh_draws=sum(int(pair.fresh.sum()) for pair in pairs),
        contradicted=contradicted,
        p_value=p_value,
        power=power,
    )


def fresh_problems(fresh: FreshSeed) -> list[str]:
    """Return the problem that fresh draws do not vote as the run's do, if they do not."""
    if fresh.p_value > LEVEL:
        return []
    return [
        f"under a fresh seed its classes get {fresh.fresh_votes} of {fresh.fresh_draws} votes, the run says "
        f"{fresh.votes} of {fresh.draws}: p = {fresh.p_value:.1e} by chance, so the run's draws were chosen, the graph "
        "was fitted to them, or votes were changed"
    ]


@dataclass(frozen=True, slots=True)
class _Taken:
    k: int
    n: int
    fresh_k: int
    fresh_n: int

    @staticmethod
    def of(pair: Pair, allowance: float) -> "_Taken":
        n = int(pair.counts.sum())
        k = max(0, int(pair.counts[pair.top]) - math.ceil(allowance * n))
        return _Taken(k, n, int(pair.fresh[pair.top]), int(pair.fresh.sum()))


def _chosen(run: Run, share: float) -> list[Line]:
    """Return lines chosen at random, of those whose draws speak of a class."""
    lines = [line for line in run.lines if class_counted(run.record, line) is not None]
    least = 1 if run.record.spec.stop is None else LEAST_IMAGES_EARLY
    count = min(len(lines), max(least, math.ceil(share * len(run.lines))))
    return chosen_lines(lines, count)


def _class_of(record: RunRecord, line: Line) -> int:
    top = class_counted(record, line)
    assert top is not None  # as of every line that is chosen
    return top


def _estimation(record: RunRecord, line: Line) -> Procedure:
    """Return the run's own procedure from the phase on that speaks of the class of ``line``, which is given.

    The run took that class from draws of its own, so both times the rule sees independent draws of one class.
    """
    spec, tv, top = record.spec, record.tv, _class_of(record, line)
    if spec.mode == "certify":
        outcome = yield from certify(replace(spec, against_label=True), tv, top)
        return outcome
    if spec.stop is None:
        outcome = yield from predict(spec, tv)
        return outcome
    procedure = predict_early(spec, tv)
    next(procedure)  # asks for the draws that pick the class
    picked = np.zeros(record.classes + 1, np.int64)
    picked[top] = spec.n_select
    try:
        request = procedure.send(picked)
        while True:
            request = procedure.send((yield request))
    except StopIteration as end:
        ended: Outcome = end.value
        return ended


def paired(record: RunRecord, line: Line, fresh: Counts) -> Pair:
    """Return the draws of ``line`` that are compared with the ``fresh`` ones, and the class of which."""
    counts = dense_counts(line.counts[-1], record.classes)
    top = _class_of(record, line)
    if record.spec.mode == "predict" and record.spec.stop is None:
        # All draws vote at once: the run's own top class leans upward. That of both times together does not.
        top = int((counts + fresh)[:-1].argmax())
    return Pair(line=line, top=top, counts=counts, fresh=fresh)


def _is_excluded(record: RunRecord, pair: Pair, allowance: float) -> bool:
    """Return whether the fresh draws exclude what the line claims: of true claims with probability at most alpha."""
    spec, outcome, fresh = record.spec, pair.line.outcome, pair.fresh
    if isinstance(outcome, Certificate):
        upper = float(anytime_upper(int(fresh[pair.top]), int(fresh.sum()), spec.alpha))
        return upper + record.tv + allowance < outcome.p_lower
    if not isinstance(outcome, Prediction):
        return False
    rivals = np.delete(fresh[:-1], pair.top)
    own, rival = int(fresh[pair.top]), int(rivals.max())
    alpha = spec.alpha / max(1, len(rivals))
    return own + rival > 0 and float(anytime_lower(rival, own + rival, alpha)) > 0.5 + allowance
