"""What the failure probabilities of single claims add up to, over a run and over several."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from scipy import special

from purecert.engine.errors import InputError

DEFAULT_RHO = 1e-3

# SciPy's binomial tail is within 1e-12 relative; more is asked for.
_SLACK = 1e-9


@dataclass(frozen=True, kw_only=True, slots=True)
class FalseClaims:
    """Bounds on the false claims among the images of one run, each of which fails with probability at most alpha."""

    expected_at_most: float  # number of false claims
    any_at_most: float  # probability that one or more are false
    rho: float
    number_at_most: int  # of false claims, at confidence 1 - rho


def false_claims(images: int, alpha: float, rho: float = DEFAULT_RHO) -> FalseClaims:
    """Return the bounds for ``images``.

    The expectation needs no independence. The probabilities do, which images of one run have: no two share a draw.

    Raises:
        InputError: ``rho`` is not in (0, 1).
    """
    if not 0 < rho < 1:
        raise InputError(f"--rho: expected a probability in (0, 1), got {rho}")
    return FalseClaims(
        expected_at_most=images * alpha,
        any_at_most=-math.expm1(images * math.log1p(-alpha)),
        rho=rho,
        number_at_most=_number_at_most(images, alpha, rho),
    )


def any_of_all(claims: Iterable[FalseClaims]) -> float:
    """Return a bound on the probability of any false claim in any of several runs.

    Runs may share a seed, and so draws: nothing but the union bound holds across them.
    """
    return min(1.0, math.fsum(run.any_at_most for run in claims))


def _number_at_most(images: int, alpha: float, rho: float) -> int:
    """Return the least number that a binomial(images, alpha) exceeds with probability at most ``rho``.

    Independent events of probability at most alpha happen no oftener than that, whatever each one's probability is.
    This is exact where Cohen et al. (2019) use Bernstein's inequality, sqrt(2 m alpha (1 - alpha) ln(1 / rho)) +
    ln(1 / rho) / 3 above the mean. Their published code leaves out the factor 2, and is exceeded too often: of 10,000
    images at alpha = rho = 0.001 with probability 0.0016.
    """
    if not images:
        return 0
    number = np.arange(images)
    is_enough = special.bdtrc(number, images, alpha) * (1 + _SLACK) <= rho
    return int(np.argmax(is_enough)) if is_enough.any() else images
