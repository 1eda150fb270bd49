"""Certified accuracy of a log's images, in whole images."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

import numpy as np
from jaxtyping import Bool, Float64
from numpy.typing import NDArray
from scipy import special

from purecert.engine.logs.fingerprint import Sampling
from purecert.engine.reports.distribution import Distributions, distributions

# SciPy's normal distribution function is within 1e-14 relative: more is asked for.
_SLACK = 1e-12


@dataclass(frozen=True, kw_only=True, slots=True)
class CertifiedAccuracy:
    """How many of a log's images are certified to be right, at several radii; several times where chance has a part."""

    log: str
    how: str  # what the radii were taken from
    sampling: Sampling | None  # that gave the radii; None where it is not known, or differs between logs
    radii: tuple[float, ...]  # in [0, 1] pixel units, taken as the decimals that they are written as
    images: int
    certified: NDArray[np.int64]  # images, per repetition and radius
    abstained: NDArray[np.int64]  # images, per repetition
    average_radius: float  # over all images, 0 where it is wrong or abstains
    distribution: Distributions | None  # of the same radii, all repetitions together; None of the best of several logs


def certified_accuracy(
    log: str,
    how: str,
    sampling: Sampling | None,
    radii: Sequence[float],
    correct: Bool[np.ndarray, " rows"],
    reached: Float64[np.ndarray, "repeats rows"],
) -> CertifiedAccuracy:
    """Return the certified accuracy of rows that reach the radii ``reached``, negative where they abstain."""
    right = np.where(correct, reached, -1.0)
    own = np.maximum(right, 0.0)
    thresholds = [_least_double(radius) for radius in radii]
    return CertifiedAccuracy(
        log=log,
        how=how,
        sampling=sampling,
        radii=tuple(radii),
        images=len(correct),
        certified=np.stack([(right >= threshold).sum(axis=1) for threshold in thresholds], axis=1),
        abstained=(reached < 0).sum(axis=1),
        average_radius=float(own.mean()),
        distribution=_distributions(own.ravel(), sampling),
    )


def best_at_each_radius(of: Sequence[CertifiedAccuracy]) -> CertifiedAccuracy:
    """Return at each radius the largest accuracy of several logs of the same images: selected on these very images.

    Where chance has a part, the largest of each repetition. Average radius and abstentions are those of no one log.
    """
    return CertifiedAccuracy(
        log=f"best of {len(of)} at each radius",
        how=of[0].how,
        sampling=None,
        radii=of[0].radii,
        images=of[0].images,
        certified=np.max([each.certified for each in of], axis=0),
        abstained=np.zeros(0, np.int64),
        average_radius=float("nan"),
        distribution=None,
    )


def _distributions(own: NDArray[np.float64], sampling: Sampling | None) -> Distributions:
    """Return the distribution of radii, and, where sigma is known, of the bounds that they stand for, rounded down."""
    if sampling is None:
        return distributions(None, own.tolist(), 1.0)
    p_lower = np.where(own > 0, special.ndtr(own / sampling.sigma) * (1 - _SLACK), 0.0)
    return distributions(p_lower.tolist(), own.tolist(), sampling.sigma)


def _least_double(radius: float) -> float:
    """Return the least double that is not below ``radius`` as the decimal it is written as."""
    return radius if Decimal(radius) >= Decimal(repr(radius)) else float(np.nextafter(radius, np.inf))
