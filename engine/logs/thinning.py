"""What a log's counts would have certified at another alpha, or out of fewer draws."""

import numpy as np
from jaxtyping import Float64, Int64
from numpy.typing import NDArray
from scipy import special

from purecert.engine.logs.fingerprint import Sampling, fingerprint


def radii_of_counts(counts: Int64[np.ndarray, " *rows"], sampling: Sampling) -> Float64[np.ndarray, " *rows"]:
    """Return the radius that each count certifies, rounded down; 0 where it abstains."""
    marks = fingerprint(sampling.n, sampling.alpha)
    per_count = np.zeros(sampling.n + 1)
    per_count[marks.first_count :] = marks.radii(sampling.sigma)
    return np.asarray(per_count[counts])


def thinned(
    counts: Int64[np.ndarray, " rows"], n: int, kept: int, seed: tuple[int, ...], repeats: int
) -> Int64[np.ndarray, "repeats rows"]:
    """Return the successes among ``kept`` of each row's ``n`` draws, chosen at random without replacement.

    Draws of one image are exchangeable, so this is exactly how often a run of ``kept`` draws would have counted the
    class. The draws that picked the class are others, and stay.

    Args:
        counts: Successes among all ``n`` draws.
        n: Draws of each row.
        kept: At most ``n``.
        seed: The same seed gives the same choice.
        repeats: Independent choices.
    """
    generator = np.random.default_rng(seed)
    choices = generator.hypergeometric(counts, n - counts, kept, size=(repeats, len(counts)))
    return np.asarray(choices, np.int64)


def revival_probability(first: Sampling, second: Sampling) -> float:
    """Return how probable it is at most that a row which abstains under ``first`` is certified when thinned.

    Such a row has fewer successes than the least count that certifies, but how many is not in the log.
    """
    certifying = fingerprint(second.n, second.alpha)
    least = second.n + 1 - len(certifying.quantiles)
    most = first.n - len(fingerprint(first.n, first.alpha).quantiles)
    kept = np.arange(least, min(second.n, most) + 1)
    logs = (
        _log_choices(np.array([most]), kept)
        + _log_choices(np.array([first.n - most]), second.n - kept)
        - _log_choices(np.array([first.n]), np.array([second.n]))
    )
    return min(1.0, float(np.exp(logs).sum()))


def _log_choices(of: NDArray[np.int64], taken: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return ln (of choose taken), -inf where there are not so many."""
    left = of - taken
    whole = special.gammaln(of + 1) - special.gammaln(taken + 1) - special.gammaln(np.maximum(left, 0) + 1)
    return np.where(left >= 0, whole, -np.inf)
