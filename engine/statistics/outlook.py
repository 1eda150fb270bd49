"""How likely the draws that are left will show one class ahead of another; if unlikely, drawing may stop.

After m draws of the two the class leads by D, and R draws are left. Were all of these of the two, what is known of its
odds, whatever they are, would put its last lead near D M / m, with variance R M / m and M = m + R (a flat law of the
odds, and the normal limit). It must be C sqrt(M) to be shown, where C sqrt(n) is what n draws must show. So its chance
is below Phi(-z) where

    D < (C m - z sqrt(m R)) / sqrt(M)

Nothing that is claimed rests on this: to stop is always allowed where a bound holds at every n (``anytime.py``).
"""

import math
from functools import lru_cache
from typing import final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from purecert.engine.statistics.anytime import Thresholds

_HALF = 0.5
_NEVER = np.iinfo(np.int32).max
_ROOM = 1e-9  # of a draw


@final
class Outlook:
    """Says from the lead of a class over another, and from the draws left, whether it may still be shown to lead."""

    def __init__(self, n: int, alpha: float, least_chance: float) -> None:
        """Prepare for ``n`` draws in all, shown by the bound at ``alpha``; less chance than ``least_chance`` is none.

        Args:
            n: Draws of all classes and of invalid rows, at least 1.
            alpha: Of the bound that holds at every n, in (0, 1).
            least_chance: In (0, 1/2).
        """
        self._n, self._z = n, -float(special.ndtri(least_chance))
        self._c = (2 * _least_ahead(n, alpha) - n) / math.sqrt(n)

    def least_draws(self, own: ArrayLike, rival: ArrayLike, drawn: ArrayLike) -> NDArray[np.int64]:
        """Return how many more draws it takes at the least until there is too little chance: 0 where there is.

        The rival's draws are the ones that lower it most. While only these come, M and the class's draws ``own`` stay,
        and the inequality above, squared, is quadratic in m.

        Args:
            own: Draws that showed the class; broadcast against the others.
            rival: Draws that showed the other one.
            drawn: All draws so far, of any class or invalid, in [own + rival, n].
        """
        a, m = np.asarray(own, np.float64), np.asarray(own, np.float64) + np.asarray(rival, np.float64)
        left = self._n - np.asarray(drawn, np.float64)
        most = np.maximum(left + m, 1.0)  # 0 where all rows were invalid
        lead, z_squared = 1 + self._c / np.sqrt(most), self._z**2
        is_in_vain = 2 * a - m < (self._c * m - self._z * np.sqrt(m * left)) / np.sqrt(most)
        # (lead x - 2 a)^2 = z^2 x (1 - x / M), at the larger root; none where all of the rest cannot undo the lead.
        inside = z_squared * (8 * a * lead + z_squared - 16 * a**2 / most)
        root = (4 * a * lead + z_squared + np.sqrt(np.maximum(inside, 0.0))) / (2 * (lead**2 + z_squared / most))
        least = np.where(inside < 0, _NEVER, np.clip(np.ceil(root - m - _ROOM), 1, _NEVER))
        return np.where(is_in_vain, 0, least).astype(np.int64)


@lru_cache(maxsize=64)
def outlook(n: int, alpha: float, least_chance: float) -> Outlook:
    """Return the same as ``Outlook``, made once for all images."""
    return Outlook(n, alpha, least_chance)


def _least_ahead(n: int, alpha: float) -> int:
    """Return how many of ``n`` draws of two classes must show the one so that it is ahead; n + 1 where none suffice."""
    thresholds, few, enough = Thresholds(_HALF, alpha), n // 2, n + 1
    while enough - few > 1:
        middle = (few + enough) // 2
        few, enough = (few, middle) if thresholds.shortfall(middle, n) <= 0 else (middle, enough)
    return enough
