"""How an image is answered for: generators that ask for draws, receive counts, and return an outcome.

Cohen's CERTIFY and PREDICT with a fixed number of draws, and forms of both that stop when the answer is known. A
procedure never sees an image, a batch or a device, so what it decides depends on its own counts alone. Counts have one
entry per class and a last one for rows whose logits were not all finite: those stay in n and never vote.
"""

from collections.abc import Callable, Generator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from purecert.engine.procedures.answering import AnswerRule
from purecert.engine.procedures.looks import next_ask
from purecert.engine.procedures.spec import SmoothingSpec
from purecert.engine.procedures.stopping import final_lower, listed_radius, stop_rule
from purecert.engine.records.lines import Abstention, Certificate, Outcome, Prediction
from purecert.engine.statistics.bounds import certified_radius, equal_odds_p_value, subtract_budget

SELECT = 0  # the phase that picks a class
ESTIMATE = 1  # the phase that bounds its probability; the two never share a draw

Counts = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Draw:
    """A request for the next ``count`` draws of ``phase``."""

    phase: int
    count: int
    least: int | None = None  # draws that are needed whatever they show; None: all


Procedure = Generator[Draw, Counts, Outcome]
_Drawing = Generator[Draw, Counts, Counts]


def procedure_for(spec: SmoothingSpec, tv: float, label: int | None = None) -> Procedure:
    """Return a fresh procedure of ``spec``.

    Args:
        spec: Sampling plan.
        tv: Total variation of one draw's noise from the ideal Gaussian, taken off every bound.
        label: The class to certify, where the spec says that it is given.
    """
    if spec.mode == "certify":
        return certify(spec, tv, label)
    return predict(spec, tv) if spec.stop is None else predict_early(spec, tv)


def check_rule(spec: SmoothingSpec, tv: float) -> None:
    """Check that the rule of ``spec``, if it has one, can ever settle anything.

    Raises:
        InputError: No radius that is listed is within reach, or alpha is less than what the noise takes off it.
    """
    if spec.stop is not None:
        _ = stop_rule(spec, tv) if spec.mode == "certify" else AnswerRule(spec, tv, 0)


def certify(spec: SmoothingSpec, tv: float, label: int | None = None) -> Procedure:
    """Return the steps of CERTIFY (Cohen et al. 2019, section 3.2.2), which may stop early or be given the class.

    The certificate is wrong with probability at most ``spec.alpha``, whenever it stops.
    """
    top = label
    if not spec.against_label:
        selected = yield Draw(SELECT, spec.n_select)
        top = top_class(selected)
    if top is None and spec.stop is not None:
        return Abstention()  # no draw was valid, and none would be of any use
    estimated = yield from _estimate(spec, tv, top)
    return certificate(spec, tv, top, estimated)


def _estimate(spec: SmoothingSpec, tv: float, top: int | None) -> _Drawing:
    """Draw the phase that bounds the class's probability, looking where the rule says; return its counts."""
    if spec.stop is None or top is None:
        return (yield Draw(ESTIMATE, spec.n_estimate))
    rule, top_index = stop_rule(spec, tv), top

    def remaining(counts: Counts) -> int:
        return rule.remaining(int(counts[top_index]), int(counts.sum()))

    return (yield from _until_settled(spec.n_estimate, rule.remaining(0, 0), remaining))


def _until_settled(n_max: int, first: int, remaining: Callable[[Counts], int]) -> _Drawing:
    """Draw the second phase until nothing remains to be drawn or ``n_max`` draws are; return their counts."""
    ask = next_ask(first, 0, n_max)
    counts = yield Draw(ESTIMATE, ask.count, ask.least)
    while (least := remaining(counts)) and counts.sum() < n_max:
        ask = next_ask(least, int(counts.sum()), n_max)
        counts = counts + (yield Draw(ESTIMATE, ask.count, ask.least))
    return counts


def top_class(selected: Counts) -> int | None:
    """Return the class that leads, the first of several; None where no draw was valid."""
    top = int(np.argmax(selected[:-1]))
    return top if selected[top] else None


def certificate(spec: SmoothingSpec, tv: float, top: int | None, estimated: Counts) -> Outcome:
    """Return what the draws of the second phase prove of class ``top``."""
    if top is None:
        return Abstention()
    k, n = int(estimated[top]), int(estimated.sum())
    p_lower = float(subtract_budget(final_lower(spec, k, n), tv))
    radius = max(float(certified_radius(spec.sigma, p_lower)), listed_radius(spec, tv, k, n))
    if radius <= 0:
        return Abstention()
    return Certificate(predicted=top, p_lower=p_lower, radius=radius)


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
    p_value = equal_odds_p_value(int(counts[top]), runner_up) + int(counts.sum()) * tv
    return Prediction(predicted=top, p_value=p_value) if p_value <= spec.alpha else Abstention()


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
    counts = yield from _until_settled(spec.n_estimate, first, rule.remaining)
    return early_prediction(spec, tv, candidate, counts)


def early_prediction(spec: SmoothingSpec, tv: float, candidate: int | None, counts: Counts) -> Outcome:
    """Return what the draws of the second phase prove of the candidate of the first."""
    if candidate is None:
        return Abstention()
    p_value = AnswerRule(spec, tv, candidate).p_value(counts)
    return Prediction(predicted=candidate, p_value=p_value) if p_value <= spec.alpha else Abstention()
