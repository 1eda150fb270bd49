"""Float images as the 8-bit images that a certificate speaks of, and how far each is moved by that."""

import math
from decimal import ROUND_CEILING, Decimal

import numpy as np
from numpy.typing import NDArray

from purecert.engine.images.image_source import Distances

_WHITE = 255
_LAST_DECIMAL = Decimal("1e-6")


def rounded(values: NDArray[np.generic]) -> NDArray[np.uint8]:
    """Return ``values``, which are in [0, 1], at the nearest of 256 grey levels; of two, the even one."""
    # In double, 255 times a float32 is exact, so that only the rounding to 8 bits rounds.
    return np.rint(_WHITE * values.astype(np.float64)).astype(np.uint8)


def rounding_distances(images: NDArray[np.generic]) -> Distances:
    """Return how far ``rounded`` moves each of ``images`` [images, ...] of floats in [0, 1], rounded up."""
    return np.array([_distance(image) for image in images], np.float64)


def _distance(image: NDArray[np.generic]) -> float:
    exact = image.astype(np.float64)
    steps = (exact - rounded(exact) / _WHITE).ravel()
    # A step is wrong by less than 2^-51: its two terms, at most 1, and their difference are rounded once each, and an
    # extended float once more. A norm is wrong by less than (dims + 8) 2^-52 of itself, in whatever order it is summed.
    relative, absolute = (len(steps) + 8) * 2.0**-52, math.sqrt(len(steps)) * 2.0**-51
    return float(np.linalg.norm(steps)) * (1 + relative) + absolute


def printed_distance(distance: float) -> str:
    """Return ``distance`` with 6 decimals, rounded up."""
    return f"{Decimal(distance).quantize(_LAST_DECIMAL, rounding=ROUND_CEILING):f}"
