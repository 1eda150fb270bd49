"""When a prediction is settled: a candidate against every other class, looked at after any draw.

If B is at least as likely as A, then of the draws that show one of the two at most half show A, whatever the others do.
So a sequence of tests of "at most one half" for each rival B, each at alpha (``engine/statistics/anytime.py``), shows A
to be the most likely class when all are rejected: to err, the one test must fail that belongs to the true answer.
Invalid draws are no class: they never win and are no rival.

Draws end without an answer where a rival is shown to be ahead, or where the rest of n would show the candidate ahead of
the strongest one with too little chance (``engine/statistics/outlook.py``). An answer is proved by the tests alone,
which hold wherever one stops, so giving up costs answers and makes none false.
"""

from typing import final

import numpy as np
from numpy.typing import NDArray

from purecert.engine.errors import InputError
from purecert.engine.procedures.spec import MIN_SPEC_ALPHA, SmoothingSpec
from purecert.engine.statistics.anytime import Thresholds
from purecert.engine.statistics.bounds import Floats
from purecert.engine.statistics.outlook import outlook

_HALF = 0.5
_MOST_SHORT = 700.0  # of which the exponential is a double, and above 1 / MIN_SPEC_ALPHA


@final
class AnswerRule:
    """Stops when every rival is less likely than the candidate, or that is not, or hardly, to be shown any more."""

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
        chance = spec.stop.least_chance
        self._outlook = None if chance is None else outlook(spec.n_estimate, self._alpha, chance)

    def all_remaining(self, counts: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return how many draws it takes at the least until the rule can stop: 0 where it stops.

        Args:
            counts: Of one image [classes + 1], or of many along the first axes.
        """
        own, rivals = self._duels(counts)
        ahead = self._ahead.least_draws(own, own + rivals)
        behind = self._behind.least_draws(rivals, own + rivals)
        least = np.asarray(np.minimum(ahead.max(axis=-1), behind.min(axis=-1)))
        if self._outlook is None:
            return least
        in_vain = self._outlook.least_draws(own[..., 0], rivals.max(axis=-1), counts.sum(axis=-1))
        return np.asarray(np.minimum(least, in_vain))

    def all_p_values(self, counts: NDArray[np.int64]) -> Floats:
        """Return the probability, at most, of rejecting every rival so clearly were one of them the answer."""
        own, rivals = self._duels(counts)
        weakest = self._ahead.shortfall(own, own + rivals).max(axis=-1)
        factor = np.exp(np.minimum(weakest, _MOST_SHORT))
        return np.asarray(np.minimum(1.0, self._alpha * factor + self._chance))

    def remaining(self, counts: NDArray[np.int64]) -> int:
        """Return ``all_remaining`` of one image."""
        return int(self.all_remaining(counts))

    def p_value(self, counts: NDArray[np.int64]) -> float:
        """Return ``all_p_values`` of one image."""
        return float(self.all_p_values(counts))

    def _duels(self, counts: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the candidate's draws, on an axis of length 1, and each rival's."""
        own = counts[..., self._candidate : self._candidate + 1]
        return own, np.delete(counts[..., :-1], self._candidate, axis=-1)
