"""Exact coverage of a lower bound: binomial sums over the counts whose bound is true, at every place where it jumps."""

import math
from dataclasses import dataclass

import mpmath
import numpy as np
from numpy.typing import NDArray
from scipy import special

from purecert.engine.statistics.bounds import clopper_pearson_lower
from support.procedure_audit.truth import binomial_tail

ALPHAS = (0.05, 1e-3, 2e-6)
_GRID = 1_000  # probabilities spread evenly, and as many crowded towards 0 and 1

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, slots=True)
class Coverage:
    """How often a bound of ``n`` trials is above the true probability, at worst."""

    n: int
    alpha: float
    probabilities: int  # true values of p that were tried
    worst_miss: float  # the largest P(bound > p) / alpha, from SciPy's sums: at most 1 if the bound holds
    worst_p: float
    least_reserve: float  # the least 1 - P(bound > p) / alpha in the sample, from 50-digit sums
    sum_error: float  # the largest relative difference of SciPy's sum from the 50-digit one in the sample
    sampled: int

    @property
    def holds(self) -> bool:
        """Return whether no p is missed more often than alpha, by a reserve that the sums' error cannot explain."""
        return self.worst_miss <= 1 and self.least_reserve > 0 and self.sum_error < self.least_reserve


def clopper_pearson_coverage(n: int, alpha: float, sample: int) -> Coverage:
    """Return the exact coverage of the engine's bound; ``sample`` sums, the worst first, are checked to 50 digits."""
    return exact_coverage(clopper_pearson_lower(np.arange(n + 1), n, alpha), alpha, sample)


def exact_coverage(bounds: Floats, alpha: float, sample: int) -> Coverage:
    """Return the exact coverage of ``bounds``, one for each number of successes, in strictly growing order."""
    n = len(bounds) - 1
    assert np.all(np.diff(bounds) > 0)
    points = _probabilities(bounds)
    least = np.searchsorted(bounds, points, side="right")  # the fewest successes whose bound exceeds p
    misses = _tail(least, n, points)
    worst = int(np.argmax(misses))
    checked = np.unique(np.concatenate([np.argsort(misses)[-sample // 2 :], _spread(misses, sample // 2)]))
    exact = [binomial_tail(int(least[i]), n, float(points[i])) for i in checked]
    return Coverage(
        n=n,
        alpha=alpha,
        probabilities=len(points),
        worst_miss=float(misses[worst] / alpha),
        worst_p=float(points[worst]),
        least_reserve=min(float(1 - tail / mpmath.mpf(alpha)) for tail in exact),
        sum_error=max(abs(float(misses[i] / tail - 1)) for i, tail in zip(checked, exact, strict=True)),
        sampled=len(checked),
    )


def _probabilities(bounds: Floats) -> Floats:
    """Return every bound with both of its neighbours, and a grid that reaches out to 0 and 1."""
    crowded = np.logspace(-15, math.log10(0.5), _GRID)
    grid = np.concatenate([np.linspace(0, 1, _GRID), crowded, 1 - crowded])
    jumps = [bounds, np.nextafter(bounds, 0), np.nextafter(bounds, 1)]
    points = np.unique(np.concatenate([grid, *jumps]))
    return points[(points > 0) & (points < 1)]


def _tail(least: NDArray[np.int64], n: int, p: Floats) -> Floats:
    """Return P(Binomial(n, p) >= least); nothing where no number of successes exceeds p."""
    reachable = np.minimum(least, n)
    return np.where(least <= n, special.betainc(reachable, n - reachable + 1, p), 0.0)


def _spread(misses: Floats, count: int) -> NDArray[np.int64]:
    """Return ``count`` places spread over all p that can be missed at all."""
    possible = np.flatnonzero(misses > 1e-300)
    return possible[np.linspace(0, len(possible) - 1, count).astype(np.int64)]
