"""A class against its rivals one by one: bounds that hold for all of them at once, and the radii that these give.

The classifier that answers at a noisy point has a probability for each class, and moves its normal quantile by at most
r / sigma where the image moves by r; so does the probability of any set of classes (Cohen, Rosenfeld and Kolter 2019,
Salman et al. 2019). docs/questions.md derives the radii from that alone.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from purecert.engine.statistics.bounds import Floats, clopper_pearson_lower, require, subtract_budget

# SciPy's normal distribution function and its quantiles are within 1e-13 relative (mpmath,
# tests/engine/statistics/test_rivals.py): more is asked for.
_SLACK = 1e-12
# Where draws are of unlike laws the bound is proved from .29 / n upwards (docs/placement.md, docs/questions.md).
_LEAST_MEAN = 0.3
_HALVINGS = 60  # of an interval of at most 50 standard deviations
_BEYOND = 6.0  # standard deviations above its quantile, a class has a probability below 1e-9


def probability_lower(successes: ArrayLike, trials: int, alpha: float, tv: float) -> Floats:
    """Return a lower bound on an event's probability under ideal noise; too small with probability at most ``alpha``.

    Exact (Clopper and Pearson, 1934), rounded down, and 0 where it is below 0.3 / trials.

    Args:
        successes: Draws that showed the event, in [0, trials].
        trials: Draws, fixed in advance; at least 1.
        alpha: Failure probability, in [1e-100, 1).
        tv: Total variation of one draw's noise from the ideal Gaussian, in [0, 1].

    Raises:
        ValueError: An argument is outside its range.
    """
    lower = clopper_pearson_lower(successes, trials, alpha)
    return subtract_budget(np.where(lower * trials >= _LEAST_MEAN, lower, 0.0), tv)


def probability_upper(successes: ArrayLike, trials: int, alpha: float, tv: float) -> Floats:
    """Return the upper bound that mirrors ``probability_lower``: rounded up, at most 1."""
    failures = trials - np.asarray(successes, np.int64)
    return complement(probability_lower(failures, trials, alpha, tv))


def complement(probability: ArrayLike) -> Floats:
    """Return 1 - ``probability``, rounded up; at most 1."""
    return np.asarray(np.minimum(np.nextafter(1 - np.asarray(probability, np.float64), 2.0), 1.0))


def two_sided_radius(sigma: float, p_lower: ArrayLike, p_upper: ArrayLike) -> Floats:
    """Return sigma / 2 (Phi^-1(p_A) - Phi^-1(p_B)), rounded down; 0 where p_A is not above p_B.

    Cohen, Rosenfeld and Kolter (2019), Theorem 1. Closer than that, the class is likelier than every single rival.

    Args:
        sigma: Noise std, in the units that the radius comes in ([0, 1] pixels).
        p_lower: p_A, a lower bound on the class's probability, in [0, 1).
        p_upper: An upper bound on every rival's probability, in (0, 1]; p_B is this or 1 - p_A, whichever is less.

    Raises:
        ValueError: An argument is outside its range.
    """
    a, b = _quantiles(sigma, p_lower, p_upper)
    gap = (a - b) - _SLACK * (np.abs(a) + np.abs(b))
    return np.where(gap > 0, sigma / 2 * gap, 0.0)


def top_k_radius(sigma: float, p_lower: ArrayLike, rivals_upper: ArrayLike) -> Floats:
    """Return the radius inside which fewer than k rivals are as likely as the class, rounded down; 0 for none.

    Jia, Cao, Wang and Gong (2020), Theorem 1: if k rivals are as likely as the class at distance r, then any t of them
    hold t times its probability there. Of the k with the largest bounds, the t with the smallest cannot up to r, where


        t Phi(Phi^-1(p_A) - r / sigma) = Phi(Phi^-1(p_t) + r / sigma),  p_t = min(their bounds' sum, 1 - p_A)

    The radius is the largest of these r over t = 1 to k.

    Args:
        sigma: Noise std, in the units that the radius comes in.
        p_lower: p_A, a lower bound on the class's probability, in [0, 1).
        rivals_upper: Upper bounds, on the last axis, on the probabilities of the k rivals with the largest bounds;
            decreasing.

    Raises:
        ValueError: An argument is outside its range.
    """
    upper = np.asarray(rivals_upper, np.float64)
    require(bool(np.all(np.diff(upper, axis=-1) <= 0)), "decreasing bounds on rivals")
    radius = two_sided_radius(sigma, p_lower, upper[..., -1])
    for t in range(2, upper.shape[-1] + 1):
        together = upper[..., -t:].sum(axis=-1) * (1 + _SLACK + t * np.finfo(np.float64).eps)
        radius = np.maximum(radius, _joint_radius(sigma, p_lower, np.minimum(together, 1.0), t))
    return radius


def _joint_radius(sigma: float, p_lower: ArrayLike, p_upper: Floats, t: int) -> Floats:
    """Return how far a class stays likelier than a t-th part of what ``p_upper`` bounds, by halving."""
    a, b = _quantiles(sigma, p_lower, p_upper)
    is_open = np.isfinite(a) & np.isfinite(b)
    # Moved to the safe side, as the values of Phi are below.
    a = np.where(is_open, a - _SLACK * np.abs(a), 0.0)
    b = np.where(is_open, b + _SLACK * np.abs(b), 0.0)
    low, high = np.zeros_like(a), np.maximum(np.maximum(a + _BEYOND, -b), 0.0)
    is_ahead = is_open & _is_ahead(a, b, low, t)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        is_held = _is_ahead(a, b, middle, t)
        low, high = np.where(is_held, middle, low), np.where(is_held, high, middle)
    return np.where(is_ahead, sigma * low * (1 - _SLACK), 0.0)


def _is_ahead(a: Floats, b: Floats, moved: Floats, t: int) -> NDArray[np.bool_]:
    own, others = t * special.ndtr(a - moved), special.ndtr(b + moved)
    return np.asarray(own * (1 - _SLACK) > others * (1 + _SLACK))


def _quantiles(sigma: float, p_lower: ArrayLike, p_upper: ArrayLike) -> tuple[Floats, Floats]:
    p_a = np.asarray(p_lower, np.float64)
    require(bool(np.all((p_a >= 0) & (p_a < 1))), "p_lower in [0, 1)")
    p_b = np.asarray(p_upper, np.float64)
    require(bool(np.all((p_b > 0) & (p_b <= 1))), "p_upper in (0, 1]")
    require(sigma > 0 and np.isfinite(sigma), f"sigma > 0, got {sigma}")
    return special.ndtri(p_a), special.ndtri(np.minimum(p_b, complement(p_a)))
