"""How sure a difference between two rows of a table is."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_NORMAL_95 = 1.959963984540054  # the 97.5 % point of the normal distribution


@dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """The mean of what one row has over another, image by image, with a 95 % interval."""

    mean: float
    low: float
    high: float


def paired_difference(one: NDArray[np.generic], other: NDArray[np.generic]) -> Difference:
    """Return the mean over images of ``one - other``, with the normal 95 % interval of a mean over images.

    Where both have several seeds, an image counts with its mean over them: the interval speaks of other images, and not
    of other trainings.

    Args:
        one: Whether each image is right, or any number of it, [images] or [seeds, images].
        other: The same images and seeds, in the same order.

    Raises:
        ValueError: They are of other shapes, or of fewer than two images.
    """
    if one.shape != other.shape or one.ndim not in (1, 2) or one.shape[-1] < 2:
        raise ValueError(f"expected the same images twice, at least 2, got {one.shape} and {other.shape}")
    over = np.atleast_2d(one.astype(np.float64) - other.astype(np.float64)).mean(axis=0)
    half = _NORMAL_95 * float(over.std(ddof=1)) / math.sqrt(len(over))
    mean = float(over.mean())
    return Difference(mean=mean, low=mean - half, high=mean + half)
