"""What stopping tables gave up: how likely the rest of n draws would have certified after all."""

import math
from collections.abc import Sequence

import numpy as np
from scipy import special

from purecert.engine.statistics.bounds import Floats, least_certifying
from purecert.engine.statistics.stopping_tables import StoppingTable

_POINTS, _POINTS_OF_FEW = 257, 8193  # few draws leave p open, and the rest decide within a narrow part of that
_FEW = 2000
_FAR = 8.0  # standard deviations
_UNLIKELY = 1e-6


def chances_given_up(table: StoppingTable, draws: Sequence[int], successes: Sequence[int]) -> Floats:
    """Return the chance that fixed n would have certified, of images that a table gave up after so many draws.

    That is the mean, over the table's law of images given the draws so far, of P(k + Bin(n - n_i, p) certifies).
    """
    n, k = np.array(draws, np.int64), np.array(successes, np.int64)
    least = least_certifying(table.threshold, table.n, table.alpha)
    looks, place = np.unique(np.stack([n, k], axis=1), axis=0, return_inverse=True)  # many images end at the same one
    return np.array([_chance(table, least, int(one), int(some)) for one, some in looks])[place.reshape(-1)]


def total_of(chances: Floats, level: float) -> tuple[float, int, int]:
    """Return the mean of how many of independent events occur, and a range that holds it with probability ``level``."""
    law = np.ones(1)
    for chance in chances[chances > _UNLIKELY]:
        law = np.convolve(law, [1 - chance, chance])
    below = np.cumsum(law)
    tail = (1 - level) / 2
    return float(chances.sum()), int(np.searchsorted(below, tail)), int(np.searchsorted(below, 1 - tail))


def _chance(table: StoppingTable, least: int, n: int, k: int) -> float:
    rest, missing = table.n - n, least - k
    if missing > rest:
        return 0.0
    # The likelihood is within some spreads of k / n, of a prior draw of each kind.
    centre, spread = (k + 1) / (n + 2), math.sqrt((k + 1) * (n - k + 1) / (n + 2) ** 2 / (n + 3))
    near = special.ndtri(np.clip([centre - _FAR * spread, centre + _FAR * spread], 0, 1))
    low, high = np.clip(near, table.law_mean - _FAR * table.law_std, table.law_mean + _FAR * table.law_std)
    z = np.linspace(low, high, _POINTS_OF_FEW if n < _FEW else _POINTS)
    log_weight = -0.5 * ((z - table.law_mean) / table.law_std) ** 2
    log_weight += k * special.log_ndtr(z) + (n - k) * special.log_ndtr(-z)
    weight = np.exp(log_weight - log_weight.max())
    certified = special.bdtrc(missing - 1, rest, special.ndtr(z)) if missing > 0 else np.ones(len(z))
    return float((weight * certified).sum() / weight.sum())
