"""PREDICT (Cohen, Rosenfeld and Kolter 2019, section 3.2.1): the smoothed classifier's answer, without a radius."""

import math

import numpy as np

from purecert.engine.noise.contract import SELECT
from purecert.engine.procedures.answering import AnswerRule
from purecert.engine.procedures.drawing import Counts, Draw, Procedure, top_class, until_settled
from purecert.engine.procedures.outcomes import Abstention, Outcome, Prediction
from purecert.engine.procedures.spec import SmoothingSpec
from purecert.engine.statistics.anytime import Thresholds
from purecert.engine.statistics.bounds import equal_odds_p_value

_HALF = 0.5
_LEVEL = 0.5  # any in (0, 1): the shortfall from it is only turned back into a probability


def predict(spec: SmoothingSpec, tv: float) -> Procedure:
    """Return the steps of PREDICT (Cohen et al. 2019, section 3.2.1): the answer, or abstention.

    The answer differs from the smoothed classifier's with probability at most ``spec.alpha``.
    """
    counts = yield Draw(SELECT, spec.n_estimate)
    return prediction(spec, tv, counts)


def prediction(spec: SmoothingSpec, tv: float, counts: Counts) -> Outcome:
    """Return what PREDICT concludes from its counts."""
    top = int(np.argmax(counts[:-1]))
    # Invalid rows could have been anything, so they count as one more rival.
    runner_up = int(np.max(np.delete(counts, top)))
    if counts[top] <= runner_up:
        return Abstention()
    # n draws together are within n * tv of ideal ones, and so is the probability of any event.
    at_ideal = equal_odds_p_value(int(counts[top]), runner_up) if spec.step == 1 else _mixed_p_value(counts, top)
    p_value = at_ideal + int(counts.sum()) * tv
    return Prediction(predicted=top, p_value=p_value) if p_value <= spec.alpha else Abstention()


def _mixed_p_value(counts: Counts, top: int) -> float:
    """Return the probability, at most, that a class ahead so far is not the likeliest, where draws have unlike laws.

    The test that two counts are of equal odds is for draws of one law. This one is the sequential test at its last look
    (``answering.py``), which at whole batches holds for the mixture of laws, once for each class that may be ahead of
    the true answer (docs/placement.md).
    """
    rivals = np.delete(counts, top)  # invalid rows are one
    own, wrong = np.full_like(rivals, counts[top]), len(counts) - 2
    weakest = float(Thresholds(_HALF, _LEVEL).shortfall(own, own + rivals).max())
    return min(1.0, wrong * _LEVEL * math.exp(min(weakest, 700.0)))


def predict_early(spec: SmoothingSpec, tv: float) -> Procedure:
    """Return the steps of a PREDICT that stops when every other class is shown to be less likely than the candidate.

    The answer differs from the smoothed classifier's with probability at most ``spec.alpha``, whenever it stops.
    """
    selected = yield Draw(SELECT, spec.n_select)
    candidate = top_class(selected)
    if candidate is None:
        return Abstention()
    rule = AnswerRule(spec, tv, candidate)
    first = rule.remaining(np.zeros_like(selected))
    counts = yield from until_settled(spec.n_estimate, first, lambda counts, _: rule.remaining(counts), spec.step)
    return early_prediction(spec, tv, candidate, counts)


def early_prediction(spec: SmoothingSpec, tv: float, candidate: int | None, counts: Counts) -> Outcome:
    """Return what the draws of the second phase prove of the candidate of the first."""
    if candidate is None:
        return Abstention()
    return answered(spec, candidate, AnswerRule(spec, tv, candidate).p_value(counts))


def answered(spec: SmoothingSpec, candidate: int, p_value: float) -> Outcome:
    """Return the candidate as the answer where ``p_value`` admits it."""
    return Prediction(predicted=candidate, p_value=p_value) if p_value <= spec.alpha else Abstention()
