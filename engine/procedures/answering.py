"""When a prediction is settled: a candidate against every other class, looked at after any draw.

If B is at least as likely as A, then of the draws that show one of the two at most half show A, whatever the others do.
So a sequence of tests of "at most one half" for each rival B, each at alpha (``engine/statistics/anytime.py``), shows A
to be the most likely class when all are rejected: to err, the one test must fail that belongs to the true answer.
Invalid draws are no class: they never win and are no rival.
"""

from typing import final

import numpy as np
from numpy.typing import NDArray

from purecert.engine.errors import InputError
from purecert.engine.procedures.spec import MIN_SPEC_ALPHA, SmoothingSpec
from purecert.engine.statistics.anytime import Thresholds

_HALF = 0.5


@final
class AnswerRule:
    """Stops when every rival is less likely than the candidate, or one is shown to be more likely."""

    def __init__(self, spec: SmoothingSpec, tv: float, candidate: int) -> None:
        """Prepare for ``candidate``, chosen from other draws; ``tv`` is of one draw's noise from the ideal Gaussian.

        Raises:
            InputError: The noise as drawn leaves nothing of alpha.
        """
        assert spec.stop is not None
        # n draws together are within n * tv of ideal ones, and so is the probability of any event.
        self._chance = spec.n_estimate * tv
        self._alpha, self._candidate = spec.alpha - self._chance, candidate
        if self._alpha < MIN_SPEC_ALPHA:
            raise InputError(
                f"expected alpha above {self._chance:.3g}, by which {spec.n_estimate} draws of noise may differ from "
                f"ideal ones, got {spec.alpha}; ask for a larger alpha, or for fewer draws"
            )
        self._ahead = Thresholds(_HALF, self._alpha)
        self._behind = Thresholds(_HALF, spec.stop.alpha_refute)

    def remaining(self, counts: NDArray[np.int64]) -> int:
        """Return how many draws it takes at the least until the rule can stop: 0 where it stops."""
        own, rivals = self._duels(counts)
        ahead = self._ahead.least_draws(own, own + rivals)
        behind = self._behind.least_draws(rivals, own + rivals)
        return min(int(ahead.max()), int(behind.min()))

    def p_value(self, counts: NDArray[np.int64]) -> float:
        """Return the probability, at most, of rejecting every rival so clearly were one of them the answer."""
        own, rivals = self._duels(counts)
        weakest = float(self._ahead.shortfall(own, own + rivals).max())
        return min(1.0, self._alpha * float(np.exp(weakest)) + self._chance)

    def _duels(self, counts: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the candidate's draws, repeated, and each rival's."""
        rivals = np.delete(counts[:-1], self._candidate)
        return np.full_like(rivals, counts[self._candidate]), rivals
