"""How sure a difference between two rows of a table is."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_NORMAL_95 = 1.959963984540054  # the 97.5 % point of the normal distribution
_MORE = 2  # images that are added: half of one is 1, half of one is -1, and one is 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """The mean of what one row has over another, image by image, with a 95 % interval."""

    mean: float
    low: float
    high: float


def paired_difference(one: NDArray[np.generic], other: NDArray[np.generic]) -> Difference:
    """Return the mean over images of ``one - other``, with a 95 % interval of it over images.

    The interval is the adjusted one of Agresti and Min (Statistics in Medicine 24, 2005) for matched pairs: the normal
    one after two more images, half of one of which each side alone has right. So it has a width where no image differs.
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
    n = len(over) + _MORE
    middle = float(over.sum()) / n
    spread = (float((over**2).sum()) + 1) / n - middle**2
    half = _NORMAL_95 * math.sqrt(spread / n)
    return Difference(mean=float(over.mean()), low=max(-1.0, middle - half), high=min(1.0, middle + half))
