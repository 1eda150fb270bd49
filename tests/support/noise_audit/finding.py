"""What one statistical test says, and the limits that a sound generator keeps."""

from dataclasses import dataclass

import numpy as np
from scipy import special

# A sound source leaves these limits in two seeds of a million. Seeds are fixed: a test that passes always passes.
_LEAST_P = 1e-6
_MOST_DEVIATIONS = 5.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """The outcome of one test."""

    test: str
    draws: int  # values, or words, that went into it
    statistic: float
    p: float  # chance of a statistic as high, or as low, under the exact law: the smaller of both, where both mean harm
    deviation: float | None = None  # of a count or a mean from its expectation, in standard deviations

    @property
    def passed(self) -> bool:
        """Return whether the test leaves the source standing; written so that NaN fails."""
        near = self.deviation is None or abs(self.deviation) <= _MOST_DEVIATIONS
        return near and self.p >= _LEAST_P


def chi_square(test: str, observed: np.ndarray, expected: np.ndarray) -> Finding:
    """Return Pearson's statistic over cells whose probabilities are known; few draws a cell want pooling first."""
    statistic = float(((observed - expected) ** 2 / expected).sum())
    freedom = observed.size - 1
    p = min(special.chdtrc(freedom, statistic), special.chdtr(freedom, statistic))
    return Finding(test=test, draws=int(observed.sum()), statistic=statistic, p=float(p))


def binomial(test: str, successes: int, trials: int, mass: float) -> Finding:
    """Return how a count agrees with its exact binomial law."""
    deviation = (successes - trials * mass) / (trials * mass * (1 - mass)) ** 0.5
    p = min(at_least(successes, trials, mass), at_most(successes, trials, mass))
    return Finding(test=test, draws=trials, statistic=float(successes), p=p, deviation=deviation)


def normal(test: str, deviation: float, draws: int) -> Finding:
    """Return how a sum of many terms agrees with its expectation, ``deviation`` standard deviations away."""
    p = float(special.ndtr(-abs(deviation)))
    return Finding(test=test, draws=draws, statistic=deviation, p=p, deviation=deviation)


def largest(test: str, z: np.ndarray, draws: int) -> Finding:
    """Return how the largest of many independent standard normal |z| agrees with its law (Sidak, 1967).

    The correlations of N pairs are |z| / sqrt(N). Of a million the largest is about 5; above 7 it fails.
    """
    most = float(np.abs(z).max())
    rarity = _rarity(2 * special.ndtr(-most), z.size)
    return Finding(test=test, draws=draws, statistic=most, p=min(rarity, 1 - rarity))


def most_and_least(test: str, counts: np.ndarray, trials: int, mass: float, draws: int) -> Finding:
    """Return how the extremes of many binomial counts agree with their law; the statistic is the rarer of both."""
    high, low = int(counts.max()), int(counts.min())
    rarest = min((at_least(high, trials, mass), high), (at_most(low, trials, mass), low))
    p = _rarity(2 * rarest[0], counts.size)
    return Finding(test=test, draws=draws, statistic=float(rarest[1]), p=p)


def at_least(successes: int, trials: int, mass: float) -> float:
    """Return P(X >= successes) of a binomial X."""
    return 1.0 if successes == 0 else float(special.betainc(successes, trials - successes + 1, mass))


def at_most(successes: int, trials: int, mass: float) -> float:
    """Return P(X <= successes) of a binomial X."""
    return 1.0 if successes == trials else float(special.betaincc(successes + 1, trials - successes, mass))


def _rarity(chance: float, tests: int) -> float:
    """Return the chance that one of ``tests`` outcomes is as rare as ``chance``."""
    return float(-np.expm1(tests * np.log1p(-chance))) if chance < 1 else 1.0
