"""Cohen's CERTIFY and PREDICT as generators: each asks for draws, receives counts, and returns an outcome.

A procedure never sees an image, a batch or a device, so what it decides depends on its own counts alone. Counts have
one entry per class and a last one for rows whose logits were not all finite: those stay in n and never vote.
"""

from collections.abc import Generator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from purecert.engine.bounds import certified_radius, clopper_pearson_lower, equal_odds_p_value, subtract_budget
from purecert.engine.certificates import Abstention, Certificate, Outcome, Prediction
from purecert.engine.spec import SmoothingSpec

SELECT = 0  # the phase that picks a class
ESTIMATE = 1  # the phase that bounds its probability; the two never share a draw

Counts = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Draw:
    """A request for the next ``count`` draws of ``phase``."""

    phase: int
    count: int


Procedure = Generator[Draw, Counts, Outcome]


def certify(spec: SmoothingSpec, tv: float) -> Procedure:
    """Return the steps of CERTIFY (Cohen et al. 2019, section 3.2.2).

    The certificate is wrong with probability at most ``spec.alpha``.

    Args:
        spec: Sampling plan.
        tv: Total variation of one draw's noise from the ideal Gaussian, taken off the bound.
    """
    selected = yield Draw(SELECT, spec.n_select)
    estimated = yield Draw(ESTIMATE, spec.n_estimate)
    return certificate(spec, tv, selected, estimated)


def certificate(spec: SmoothingSpec, tv: float, selected: Counts, estimated: Counts) -> Outcome:
    """Return what CERTIFY concludes from its two sets of counts."""
    top = int(np.argmax(selected[:-1]))
    if selected[top] == 0:
        return Abstention()
    p_lower = float(subtract_budget(clopper_pearson_lower(estimated[top], estimated.sum(), spec.alpha), tv))
    radius = float(certified_radius(spec.sigma, p_lower))
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
