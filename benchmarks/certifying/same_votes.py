"""Whether two sides' votes are draws of one probability, as far as chance can tell."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr
from scipy.stats import fisher_exact

LEVEL = 1e-6  # how often each of the two tests would reject sides that are the same

Counts = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, slots=True)
class VoteTest:
    """Two tests of the votes for each image's class: image by image, and all images together."""

    images: int
    draws: int  # of each side
    share: float  # of one side's votes that are for the image's class
    other_share: float
    least_p_value: float  # Fisher's exact test, the least of all images times their number
    pooled_p_value: float  # Cochran and Mantel-Haenszel's, which sees a small difference that all images share

    @property
    def agree(self) -> bool:
        """Return whether neither test rejects."""
        return min(self.least_p_value, self.pooled_p_value) >= LEVEL


def compare_votes(classes: Counts, votes: Counts, other: Counts) -> VoteTest:
    """Return the tests of ``votes`` and ``other`` [images, classes + 1] for each image's class of ``classes``.

    The classes must come from other draws, as CERTIFY's selection does: a class picked from these votes would be
    biased towards the side that it was picked from.
    """
    assert votes.shape == other.shape
    images = np.arange(len(classes))
    for_class, other_for_class = votes[images, classes], other[images, classes]
    draws, other_draws = votes.sum(axis=1), other.sum(axis=1)
    exact = [
        fisher_exact([[k, n - k], [other_k, other_n - other_k]])[1]
        for k, n, other_k, other_n in zip(for_class, draws, other_for_class, other_draws, strict=True)
    ]
    return VoteTest(
        images=len(classes),
        draws=int(draws.sum()),
        share=float(for_class.sum() / draws.sum()),
        other_share=float(other_for_class.sum() / other_draws.sum()),
        least_p_value=min(1.0, len(classes) * float(min(exact))),
        pooled_p_value=_pooled(for_class, draws, other_for_class, other_draws),
    )


def _pooled(k: Counts, n: Counts, other_k: Counts, other_n: Counts) -> float:
    """Return the two-sided p-value of sum(k) given every image's votes on both sides: hypergeometric moments."""
    total, found = (n + other_n).astype(float), (k + other_k).astype(float)
    expected = n * found / total
    variance = n * other_n * found * (total - found) / (total**2 * (total - 1))
    if not variance.sum():
        return 1.0  # all votes of every image are the same on both sides
    return float(2 * ndtr(-abs(float((k - expected).sum())) / np.sqrt(variance.sum())))
