"""Confidence bounds and radii, every one rounded to the safe side.

The numbers come from ``scipy.special`` (Boost), which is close to exact but lands on either side of it. A certificate
may be too small, never too large, so each result is stepped past that error before it is used.
"""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

# SciPy's quantiles of the normal, and those of the beta distribution as we refine them, are within 1e-13 relative of
# 50-digit arithmetic (tests/engine/statistics/test_bounds.py). A tenfold margin costs at most 4e-9 of a radius.
_SLACK = 1e-12
# SciPy's tails below are off by more, or 0: of 100,000 draws, the first that is too small with that slack is 2e-79.
_LEAST_P_VALUE = 1e-60
# Far below, at 1e-247, SciPy's tail is 0 where it should not be, and a bound would be above the exact one.
MIN_ALPHA = 1e-100

Floats = NDArray[np.float64]


def clopper_pearson_lower(successes: ArrayLike, trials: ArrayLike, alpha: float) -> Floats:
    """Return a lower confidence bound on a success probability, never above the exact one.

    Exact (Clopper and Pearson, 1934): the true probability is below it with probability at most ``alpha``, for one
    look at a number of trials fixed in advance. At most 2e-12 relative below the exact bound up to 10^7 trials.

    Args:
        successes: Trials that showed the event, in [0, trials].
        trials: Independent trials, at least 1.
        alpha: One-sided failure probability, in [1e-100, 1).

    Raises:
        ValueError: An argument is outside its range.
    """
    k, n = np.broadcast_arrays(np.asarray(successes, np.float64), np.asarray(trials, np.float64))
    require(bool(np.all((n >= 1) & (k >= 0) & (k <= n) & np.isfinite(n))), "0 <= successes <= trials and trials >= 1")
    require(MIN_ALPHA <= alpha < 1, f"alpha in [{MIN_ALPHA}, 1), got {alpha}")
    # Without a success the bound is 0; 1 stands in for k there, where the quantile has no meaning.
    a = np.asarray(np.maximum(k, 1))
    quantile = _beta_quantile(a, np.asarray(n - a + 1), alpha)
    return np.where(k > 0, quantile * (1 - _SLACK), 0.0)


def subtract_budget(p_lower: ArrayLike, tv: float) -> Floats:
    """Return ``p_lower`` less the total variation ``tv`` between the drawn and the ideal noise, not below 0.

    Args:
        p_lower: Lower bound on a class's probability under the noise as drawn.
        tv: Total variation per draw (``NoiseTable.tv_budget``), in [0, 1].
    """
    require(0 <= tv <= 1, f"tv in [0, 1], got {tv}")
    return np.asarray(np.maximum(np.nextafter(np.asarray(p_lower, np.float64) - tv, -np.inf), 0.0))


def certified_radius(sigma: float, p_lower: ArrayLike) -> Floats:
    """Return the L2 radius that ``p_lower`` certifies: sigma * Phi^-1(p_lower), rounded down; 0 up to one half.

    Cohen, Rosenfeld and Kolter (2019), Theorem 1, with the runner-up bounded by 1 - p_lower.

    Args:
        sigma: Noise std, in the units that the radius comes in ([0, 1] pixels).
        p_lower: Lower bound on the top class's probability, in [0, 1).

    Raises:
        ValueError: An argument is outside its range.
    """
    p = np.asarray(p_lower, np.float64)
    require(bool(np.all((p >= 0) & (p < 1))), "p_lower in [0, 1)")
    require(sigma > 0 and math.isfinite(sigma), f"sigma > 0, got {sigma}")
    return np.where(p > 0.5, sigma * special.ndtri(np.maximum(p, 0.5)) * (1 - _SLACK), 0.0)


def equal_odds_p_value(top: int, runner_up: int) -> float:
    """Return the two-sided p-value of ``top`` against ``runner_up`` votes at equal odds, rounded up; at least 1e-60.

    Exact binomial test (Hung and Fithian, 2019, as used by Cohen et al. for PREDICT): if the true top class is not
    the one with ``top`` votes, a p-value this small has at most this probability.

    Args:
        top: Votes of the leading class, at least ``runner_up``.
        runner_up: Votes of the next.
    """
    require(0 <= runner_up <= top, f"0 <= runner_up <= top, got {runner_up} and {top}")
    if top == runner_up:
        return 1.0
    # P(Binomial(n, 1/2) >= top) = I_{1/2}(top, n - top + 1)
    tail = float(special.betainc(top, runner_up + 1, 0.5))
    # The tail's error grows with n: 6e-12 relative at 1e8 trials.
    rounded_up = 2 * tail * (1 + _SLACK + (top + runner_up) * 1e-18)
    return min(1.0, max(rounded_up, _LEAST_P_VALUE))


def _beta_quantile(a: Floats, b: Floats, alpha: float) -> Floats:
    """Return the quantile of Beta(a, b) at ``alpha``, for a and b from 1, at most 1e-13 relative above the exact one.

    SciPy's inverse ends too far up for some arguments: by 1.4e-12 at 100,000 trials (99,001 successes, alpha 2e-6), by
    4e-11 at a million. Its forward function is better by far, so one step of Newton's takes that back. The logarithm of
    the tail is concave in that of the quantile, as is the logarithm of its density, so the step never ends above.
    """
    quantile = special.betaincinv(a, b, alpha)
    with np.errstate(divide="ignore", invalid="ignore"):
        log_tail = np.log(special.betainc(a, b, quantile))
        # d ln tail / d ln quantile = quantile * density / tail
        slope = np.exp(a * np.log(quantile) + special.xlog1py(b - 1, -quantile) - special.betaln(a, b) - log_tail)
        refined = quantile * np.exp((math.log(alpha) - log_tail) / slope)
    # A tail of 0 has no logarithm (so for 1,000 successes of 10^9, where the inverse ends at 0): then claim nothing.
    return np.asarray(np.where(np.isfinite(refined), refined, 0.0))


def require(condition: bool, expected: str) -> None:
    """Raise ``ValueError``, saying what was expected, unless ``condition`` holds."""
    if not condition:
        raise ValueError(f"expected {expected}")


def least_certifying(p: float, n: int, alpha: float) -> int:
    """Return the fewest successes in ``n`` draws by which a fixed n shows more than ``p``; n + 1 where none do.

    That is the least k with P(Bin(n, p) >= k) <= alpha, as of the exact bound (Clopper and Pearson, 1934).
    """
    few, many = 0, n + 1
    while few < many:
        middle = (few + many) // 2
        if special.bdtrc(middle - 1, n, p) <= alpha:
            many = middle
        else:
            few = middle + 1
    return few
