"""What is true of a class of known probability, from mpmath and binomial sums alone: nothing of the engine's bounds."""

import math
from functools import lru_cache

import mpmath
import numpy as np
from scipy import special

_DIGITS = 50
_SUM_DIGITS = 70  # rounding of a sum of 100,000 terms stays far below 50 digits


def true_radius(probability: float, sigma: float) -> float:
    """Return the largest double that is not above sigma * Phi^-1(probability); 0 up to one half.

    A certificate of a larger radius claims more than Theorem 1 of Cohen et al. (2019) gives for that probability.
    """
    if probability <= 0.5:
        return 0.0
    with mpmath.workdps(_DIGITS):
        exact = mpmath.mpf(sigma) * mpmath.sqrt(2) * mpmath.erfinv(2 * mpmath.mpf(probability) - 1)
        rounded = float(exact)
        return rounded if mpmath.mpf(rounded) <= exact else math.nextafter(rounded, 0)


def probability_below(radius: float, sigma: float) -> float:
    """Return the largest double below Phi(radius / sigma): a class as likely as can be for whom ``radius`` is false."""
    with mpmath.workdps(_DIGITS):
        exact = mpmath.ncdf(mpmath.mpf(radius) / mpmath.mpf(sigma))
        rounded = float(exact)
        return rounded if mpmath.mpf(rounded) < exact else math.nextafter(rounded, 0)


@lru_cache(maxsize=1024)
def false_claim_probability(probability: float, trials: int, alpha: float) -> float:
    """Return the chance that Clopper and Pearson's bound from ``trials`` draws certifies too much of a class.

    The bound from k successes is above p exactly if k or more of them had probability below alpha at p. It proves no
    radius up to one half, so a class below that is claimed falsely only from counts that prove more than one half.
    """
    claimed = max(probability, 0.5)
    successes = np.arange(1, trials + 1)
    tails = special.betainc(successes, trials - successes + 1, claimed)
    least = int(np.argmax(tails < alpha)) + 1
    return float(special.betainc(least, trials - least + 1, probability))


def binomial_tail(successes: int, trials: int, probability: float) -> mpmath.mpf:
    """Return P(Binomial(trials, probability) >= successes) to 50 digits, term by term from ``successes`` upwards."""
    with mpmath.workdps(_SUM_DIGITS):
        p = mpmath.mpf(probability)
        odds = p / (1 - p)
        term = mpmath.binomial(trials, successes) * p**successes * (1 - p) ** (trials - successes)
        total, k = term, successes
        while k < trials and (term > total * mpmath.mpf(10) ** -_SUM_DIGITS or k <= trials * p):
            term *= odds * (trials - k) / (k + 1)
            total, k = total + term, k + 1
        return total
