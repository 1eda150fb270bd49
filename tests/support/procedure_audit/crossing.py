"""Exact laws of looks after every draw, by dynamic programming over the number of successes.

A boundary says for each number of draws n from how many successes on a path has crossed (n + 1: none does). ``walk``
takes one for each n = 1, 2, ... The state is the number of successes among the paths that have not crossed.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from purecert.engine.statistics.anytime import Thresholds

Integers = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, slots=True)
class Walk:
    """How a sequence of draws ends that is looked at after each of them."""

    above: float  # probability of ever crossing the upper boundary, before the lower one
    below: float
    draws: float  # expected; all that the boundaries are for where neither is crossed


def least_successes(p: float, alpha: float, n: Integers) -> Integers:
    """Return for each n the fewest successes from which ``Thresholds`` finds ``p`` exceeded, by bisection."""
    thresholds = Thresholds(p, alpha)
    low, high = np.full_like(n, -1), n + 1
    while np.any(high - low > 1):
        middle = np.clip((low + high) // 2, 0, n)
        is_open = high - low > 1
        exceeds = thresholds.shortfall(middle, n) <= 0
        low, high = np.where(is_open & ~exceeds, middle, low), np.where(is_open & exceeds, middle, high)
    return high


def most_successes(p: float, alpha: float, n: Integers) -> Integers:
    """Return for each n the most successes from which ``p`` is refuted; -1 where none are few enough."""
    return n - least_successes(1 - p, alpha, n)


def published_rule(p: float, alpha: float, n: Integers) -> tuple[Integers, Integers]:
    """Return both boundaries, for each n, of Voracek's two-sided RS_conf_seq, of our own making.

    The likelihood of the draws as the KT predictor (A + .5) / (N + 1) foretells them, over that under ``p``, is
    compared with 1 / (2 alpha), on either side of p. The predictor's product is a Beta(1/2, 1/2) mixture.
    """
    above, below = np.empty_like(n), np.empty_like(n)
    log_gamma = special.gammaln(np.arange(n.max() + 1) + 0.5)
    for place, draws in enumerate(n):
        k = np.arange(draws + 1)
        foretold = log_gamma[: draws + 1] + log_gamma[draws::-1] - special.gammaln(draws + 1) - np.log(np.pi)
        crosses = foretold - k * np.log(p) - (draws - k) * np.log1p(-p) >= -np.log(2 * alpha)
        above[place] = np.min(k[crosses & (k > draws * p)], initial=draws + 1)
        below[place] = np.max(k[crosses & (k < draws * p)], initial=-1)
    return above, below


def walk(above: Integers, below: Integers | None, p: float) -> Walk:
    """Return the exact law of draws that succeed with probability ``p``, stopped at either boundary."""
    alive = np.zeros(len(above) + 2)
    alive[0], low, high = 1.0, 0, 0  # the states that hold any paths
    draws = crossed_above = crossed_below = 0.0
    for n, upper in enumerate(above):
        draws += float(alive[low : high + 1].sum())
        moved = alive[low : high + 2] * (1 - p)
        moved[1:] += alive[low : high + 1] * p
        high += 1
        alive[low : high + 1] = moved
        crossed_above += float(alive[upper : high + 1].sum())
        alive[upper : high + 1] = 0
        high = min(high, int(upper) - 1)
        if below is not None:
            lower = int(below[n])
            crossed_below += float(alive[low : lower + 1].sum())
            alive[low : lower + 1] = 0
            low = max(low, lower + 1)
    return Walk(above=crossed_above, below=crossed_below, draws=draws)
