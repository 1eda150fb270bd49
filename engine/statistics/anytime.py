"""A confidence bound on a success probability that may be looked at after every draw.

For successes of probability at most p, the likelihood ratio of p' > p against p, averaged over p' by a Beta(1/2, 1/2)
cut off below p, is a martingale or falls on average:

    ln E(p) = lnB(a+k, b+n-k) + lnQ(p; a+k, b+n-k) - lnB(a, b) - lnQ(p; a, b) - k ln p - (n-k) ln(1-p),  a = b = 1/2

with k successes in n draws and Q the upper tail of the Beta distribution. By Ville's inequality it ever reaches
1 / alpha with probability at most alpha, whenever one looks (Robbins, 1970; Howard, Ramdas, McAuliffe and Sekhon,
2021). In p, E falls through 1 / alpha once: where E > 1, d lnE / dp = h (1 - 1/E) - score with p (1-p) h <= 1/2, so a
p with E >= 1 / alpha lies below the bound, and so does every smaller one.
"""

import math
from typing import final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from purecert.engine.statistics.bounds import require

_LN_PRIOR = math.log(math.pi)  # lnB(1/2, 1/2)
# SciPy's logarithms of gamma functions are right to a few units in the last place of n ln n, and the sum loses what
# they have in common (50-digit arithmetic, tests/engine/statistics/test_anytime.py). An excess of so much is asked for.
_SLACK_PER_SIZE = 4e-15
_SLACK = 2e-13
_NEWTON_STEPS = 40  # a few in practice; bisection alone would need as many for the tolerance
_TOLERANCE = 1e-12
# The bound is taken this much below the root, and then tested.
_MARGIN = 1e-11
# No more is taken to be missing of ln E, so that what it takes fits an integer.
_MOST_MISSING = 600.0
_NEVER = np.iinfo(np.int32).max

Floats = NDArray[np.float64]
_Values = NDArray[np.float64] | np.float64  # arithmetic on an array of no dimension gives a number


@final
class Thresholds:
    """Probabilities that are to be exceeded, prepared for many looks at growing counts.

    Of any number of looks at one sequence of draws, one wrongly finds a given ``p`` exceeded with probability at most
    ``alpha``. A threshold is exceeded only where ``anytime_lower`` reaches it, up to 1e-10 relative.
    """

    def __init__(self, p: ArrayLike, alpha: float) -> None:
        """Prepare for every ``p`` in [0, 1] (a number, or an array) at ``alpha`` in (0, 1).

        Raises:
            ValueError: An argument is outside its range.
        """
        self._p = np.asarray(p, np.float64)
        require(bool(np.all((self._p >= 0) & (self._p <= 1))), "p in [0, 1]")
        require(0 < alpha < 1, f"alpha in (0, 1), got {alpha}")
        self._alpha = alpha
        self._is_never = self._p == 1
        # Near 0 and 1 nothing can be divided by; any success exceeds the smallest of doubles after enough draws.
        self._inside = np.clip(self._p, np.finfo(np.float64).tiny, 1 - np.finfo(np.float64).epsneg)
        self._log_p, self._log_q = np.log(self._inside), np.log1p(-self._inside)
        self._log_prior_tail = _log_prior_tail(self._inside)

    def shortfall(self, successes: ArrayLike, trials: ArrayLike) -> Floats:
        """Return what ln E lacks of ln(1 / alpha): at most 0 where ``p`` is exceeded, infinite where it never can be,
        or where E is less than doubles can tell.

        Args:
            successes: Draws that showed the event, in [0, trials]; broadcast against ``p``.
            trials: Independent draws so far, at least 0.
        """
        k, n = np.asarray(successes, np.float64), np.asarray(trials, np.float64)
        log_e = _log_e(k, n, self._inside, self._log_p, self._log_q, self._log_prior_tail)
        return np.where(self._is_never, np.inf, _level(n, self._alpha) - log_e)

    def least_draws(self, successes: ArrayLike, trials: ArrayLike) -> NDArray[np.int64]:
        """Return a number of further draws that it takes at the least to exceed each ``p``: 0 where that is done.

        A success multiplies E by the mean of p' / p over some law of p' in (p, 1), so by at most 1 / p.
        """
        shortfall = self.shortfall(successes, trials)
        # A tail too small for doubles hides what is missing. It lies far above k / n, where E is at most 1.
        known = np.where(np.isinf(shortfall), _level(np.asarray(trials, np.float64), self._alpha), shortfall)
        missing = np.clip(known, 0, _MOST_MISSING)
        return np.where(self._is_never, _NEVER, np.ceil(missing / -self._log_p * (1 - 1e-9))).astype(np.int64)


def anytime_lower(successes: ArrayLike, trials: ArrayLike, alpha: float) -> Floats:
    """Return a lower confidence bound on a success probability that holds at every number of draws at once.

    With probability at least ``1 - alpha`` no bound of one growing sequence of draws ever exceeds the true probability.
    Never above inf{p : E(p) < 1 / alpha}, and at most 1e-10 relative below.

    Args:
        successes: Draws that showed the event, in [0, trials].
        trials: Independent draws so far, at least 1.
        alpha: Failure probability of the whole sequence, in (0, 1).

    Raises:
        ValueError: An argument is outside its range.
    """
    k, n = _counts(successes, trials)
    require(0 < alpha < 1, f"alpha in (0, 1), got {alpha}")
    level = _level(n, alpha)
    has_any = k > 0
    root = _root(np.where(has_any, k, n), n, level)
    lower = np.asarray(root * (1 - _MARGIN))
    return np.where(has_any, _tested(np.where(has_any, k, n), n, lower, level), 0.0)


def anytime_upper(successes: ArrayLike, trials: ArrayLike, alpha: float) -> Floats:
    """Return the upper bound that mirrors ``anytime_lower``: never below the exact one."""
    k, n = _counts(successes, trials)
    return np.asarray(np.nextafter(1 - anytime_lower(n - k, n, alpha), 2.0))


def log_e(successes: ArrayLike, trials: ArrayLike, p: ArrayLike) -> Floats:
    """Return ln E(p), to be compared with ln(1 / alpha), for p in (0, 1); -inf far above successes / trials."""
    q = np.asarray(p, np.float64)
    k, n = np.asarray(successes, np.float64), np.asarray(trials, np.float64)
    return _log_e(k, n, q, np.log(q), np.log1p(-q), _log_prior_tail(q))


def _log_e(k: _Values, n: _Values, p: _Values, log_p: _Values, log_q: _Values, log_prior_tail: _Values) -> Floats:
    a, b = k + 0.5, n - k + 0.5
    tail = special.betaincc(a, b, p)
    with np.errstate(divide="ignore"):  # far above k / n the tail is less than doubles hold to full precision: E is 0
        log_tail = np.log(np.where(tail < np.finfo(np.float64).tiny, 0.0, tail))
    return np.asarray(special.betaln(a, b) - _LN_PRIOR + log_tail - log_prior_tail - k * log_p - (n - k) * log_q)


def _log_prior_tail(p: _Values) -> _Values:
    """Return ln Q(p; 1/2, 1/2), the arcsine law's upper tail."""
    return np.log(2 / math.pi * np.arctan2(np.sqrt(1 - p), np.sqrt(p)))


def _root(k: _Values, n: _Values, level: _Values) -> _Values:
    """Return where ln E falls to ``level``, by Newton's steps kept inside a bracket; k is at least 1."""
    low, high = np.zeros_like(n), k / n
    spread = np.sqrt(2 * level * np.maximum(k * (n - k), n) / n**3)
    p = np.clip(high - spread, 0.1 * high * np.exp(-level / k), high * (1 - 1e-9))
    is_done = np.zeros(np.shape(n), bool)  # such an entry moves no more, so each ends as it would alone
    for _ in range(_NEWTON_STEPS):
        value = log_e(k, n, p)
        is_low = value >= level
        low, high = np.where(is_low, p, low), np.where(is_low, high, p)
        step = (value - level) / _slope(k, n, p, value)
        moved = p - step
        middle = (low + high) / 2
        p = np.where(is_done, p, np.where((moved >= low) & (moved <= high), moved, middle))
        is_done = is_done | (np.abs(step) <= _TOLERANCE * p)
        if np.all(is_done):
            break
    return p


def _slope(k: _Values, n: _Values, p: _Values, value: _Values) -> _Values:
    """Return d ln E / d p."""
    hazard = 1 / (math.pi * np.sqrt(p * (1 - p)) * np.exp(_log_prior_tail(p)))
    slope = hazard * -np.expm1(-value) - k / p + (n - k) / (1 - p)
    return np.where(slope < 0, slope, -np.inf)


def _tested(k: _Values, n: _Values, lower: _Values, level: _Values) -> _Values:
    """Return ``lower``, or less where its E does not reach the level after all."""
    for _ in range(60):
        failing = log_e(k, n, lower) < level
        if not failing.any():
            return lower
        lower = np.where(failing, lower * (1 - 1e-3), lower)
    raise ArithmeticError("expected E to reach the level below its root")


def _level(n: _Values, alpha: float) -> _Values:
    return np.asarray(-math.log(alpha) + _SLACK + _SLACK_PER_SIZE * n * np.log(n + 1))


def _counts(successes: ArrayLike, trials: ArrayLike) -> tuple[_Values, _Values]:
    k, n = np.broadcast_arrays(np.asarray(successes, np.float64), np.asarray(trials, np.float64))
    is_count = np.isfinite(n) & (n >= 1) & (k >= 0) & (k <= n)
    require(bool(np.all(is_count)), "0 <= successes <= trials and trials >= 1")
    return k, n
