"""The thresholds that turn a uniform 64-bit integer into an exact discretised Gaussian (kernels/README.md)."""

import math
from bisect import bisect_left
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

import mpmath
import numpy as np
from numpy.typing import NDArray

from purecert.engine.errors import InputError
from purecert.engine.noise.contract import EXTRA_SCALE, GREY_LEVELS

_MAX_REACH = 32767  # noise is handed out as int16
_PRECISIONS = (128, 256, 512, 1024, 2048)  # bits; the first settles all but one threshold in 2^32
# mpmath is right to a few units in the last place, and the argument's own rounding costs a factor of its square,
# below 100 wherever the result matters. 2^32 units leave both far behind (tests: exact integer series).
_MARGIN_BITS = 32


@dataclass(frozen=True, kw_only=True, slots=True)
class NoiseTable:
    """Noise q = round(scale * N(0, 1)) on the integers, drawn by comparing with ``thresholds``.

    Raises:
        InputError: The scale is not > 0, or so large that q does not fit int16.
    """

    scale: Fraction  # standard deviation in grid steps

    def __post_init__(self) -> None:
        if not self.scale > 0:
            raise InputError(f"expected a noise scale > 0, got {self.scale}")
        _reach(self.scale)

    @property
    def reach(self) -> int:
        """The largest |q| that can be drawn: J of the contract."""
        return _reach(self.scale)

    @property
    def thresholds(self) -> NDArray[np.uint64]:
        """T_j for j = -J .. J - 1, ascending and read-only: q = (how many T_j <= u) - J for a uniform u."""
        return _thresholds(self.scale)

    def tv_budget(self, elements: int) -> float:
        """Return an upper bound on the total variation between ``elements`` draws and the ideal Gaussian.

        Each threshold is off by less than 2^-64 and each tail beyond J holds less than that. Subtract the budget
        from lower bounds on a probability and add it to upper bounds. Rounded up.
        """
        if elements < 0:
            raise InputError(f"expected a number of elements >= 0, got {elements}")
        exact = Fraction(elements * (2 * self.reach + 4), 2**65)
        nearest = float(exact)
        return nearest if Fraction(nearest) >= exact else math.nextafter(nearest, math.inf)


def smoothing_noise(sigma: float) -> NoiseTable:
    """Return the table of the smoothing noise, whose scale is 255 times the exact value of the double ``sigma``.

    Raises:
        InputError: ``sigma`` (pixel units of [0, 1]) is not a finite number > 0, or is above 14.15, where q would
            not fit int16. The clip at 2048 makes noise useless long before.
    """
    if not (math.isfinite(sigma) and sigma > 0):
        raise InputError(f"expected sigma to be a finite number > 0 in pixel units of [0, 1], got {sigma}")
    return NoiseTable(scale=GREY_LEVELS * Fraction(float(sigma)))


def extra_noise() -> NoiseTable:
    """Return the table of the extra inputs of purifiers that are random themselves: round(256 N(0, 1))."""
    return NoiseTable(scale=Fraction(EXTRA_SCALE))


@lru_cache(maxsize=64)
def _reach(scale: Fraction) -> int:
    """Return J, the least integer with 2^64 Phi(-(J + 1/2) / scale) < 1."""
    context = mpmath.MPContext()  # of our own: the precision of mpmath.mp belongs to the caller
    reach = bisect_left(range(_MAX_REACH + 1), True, key=lambda j: _floor_of_tail(context, scale, j) == 0)
    if reach > _MAX_REACH:
        raise InputError(
            f"expected noise that fits 16-bit integers (sigma at most 14.15 in pixel units of [0, 1]), "
            f"got sigma = {float(scale / GREY_LEVELS):.6g}; choose a smaller sigma"
        )
    return reach


@lru_cache(maxsize=16)
def _thresholds(scale: Fraction) -> NDArray[np.uint64]:
    """Return the table of ``NoiseTable.thresholds``; the upper half follows from Phi(x) = 1 - Phi(-x).

    2^64 Phi is never an integer here (erf of a rational other than 0 is transcendental), so that
    floor(2^64 - v) = 2^64 - 1 - floor(v).
    """
    context = mpmath.MPContext()
    tails = [_floor_of_tail(context, scale, j) for j in range(_reach(scale))]
    thresholds = np.array([*reversed(tails), *(2**64 - 1 - tail for tail in tails)], dtype=np.uint64)
    thresholds.flags.writeable = False
    return thresholds


def _floor_of_tail(context: mpmath.MPContext, scale: Fraction, j: int) -> int:
    """Return floor(2^64 Phi(-(j + 1/2) / scale)), exactly."""
    if 2 * j + 1 >= 20 * scale:  # Phi(-10) < 2^-76; mpmath's erfc fails far beyond
        return 0
    for precision in _PRECISIONS:
        context.prec = precision
        x = context.mpf(-(2 * j + 1) * scale.denominator) / (2 * scale.numerator)
        value = context.ldexp(context.ncdf(x), 64)
        margin = context.ldexp(value, _MARGIN_BITS - precision)
        lowest, highest = int(context.floor(value - margin)), int(context.floor(value + margin))
        if lowest == highest:
            return lowest
    raise ArithmeticError(f"a threshold of scale {scale} at j = {j} is undecided at {_PRECISIONS[-1]} bits")
