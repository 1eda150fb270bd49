"""The thresholds of a table against bounds of the normal distribution that are proved in integers, without mpmath."""

import math
from dataclasses import dataclass
from fractions import Fraction
from itertools import count

from purecert.engine.noise.table import NoiseTable

_BITS = 192
_ONE = 1 << _BITS
_PI = Fraction("3.14159265358979323846264338327950288419716939937510582097494459")  # below pi by less than 1e-61


@dataclass(frozen=True, kw_only=True, slots=True)
class ThresholdAudit:
    """How a table's entries compare with their bounds."""

    scale: float
    entries: int
    wrong: int  # outside the bounds
    undecided: int  # the bounds lie on both sides of an integer


def audit_thresholds(table: NoiseTable) -> ThresholdAudit:
    """Compare every entry of both halves, and the reach, with floor(2^64 Phi) between rational bounds."""
    thresholds = table.thresholds.tolist()
    wrong, undecided = int(len(thresholds) != 2 * table.reach), 0
    for j in range(table.reach):
        low, high = phi_bounds((j + Fraction(1, 2)) / table.scale)
        for found, least, most in (
            (thresholds[table.reach + j], low, high),
            (thresholds[table.reach - 1 - j], _ONE - high, _ONE - low),
        ):
            wrong += not _floor(least) <= found <= _floor(most)
            undecided += _floor(least) != _floor(most)
    beyond, _ = phi_bounds((table.reach + Fraction(1, 2)) / table.scale)
    wrong += _ONE - beyond >= _ONE >> 64  # less than 1 of 2^64 lies beyond J
    wrong += bool(thresholds) and thresholds[0] < 1  # and not less beyond J - 1
    return ThresholdAudit(scale=float(table.scale), entries=len(thresholds), wrong=wrong, undecided=undecided)


def phi_bounds(x: Fraction) -> tuple[int, int]:
    """Return integers around 2^192 Phi(x) for x > 0.

    Phi(x) - 1/2 = sum_k x^(2k+1) / (1 3 5 .. (2k+1)) / (sqrt(2 pi) exp(x^2 / 2)), and exp by its series: no term is
    negative, so a sum of terms rounded down is below, and one of terms rounded up, with what is left out, above.
    """
    square = x * x
    low, high = (_fixed(x, up) for up in (0, 1))
    low_square, high_square = (_fixed(square, up) for up in (0, 1))
    low_sum, high_sum = _series(low, low_square, 3, 0), _series(high, high_square, 3, 1)
    low_exp, high_exp = _series(_ONE, low_square, 2, 0), _series(_ONE, high_square, 2, 1)
    low_root, high_root = _root_of_two_pi()
    return (
        _ONE // 2 + (low_sum << 2 * _BITS) // (high_root * high_exp),
        _ONE // 2 + (high_sum << 2 * _BITS) // (low_root * low_exp) + 1,
    )


def _series(term: int, square: int, divisor: int, up: int) -> int:
    """Return a bound of term (1 + y / d (1 + y / (d + 2) (1 + ...))), y = square, from above if ``up`` is 1."""
    total = 0
    for d in count(divisor, 2):
        total += term
        if term <= 2 and 2 * square <= d << _BITS:  # from here each true term is at most half of the one before
            return total + 2 * term * up
        term = term * square // (d << _BITS) + up
    raise AssertionError("a count does not end")


def _fixed(value: Fraction, up: int) -> int:
    return math.floor(value * _ONE) + up


def _floor(scaled: int) -> int:
    """Return floor(2^64 v) of v, scaled by 2^192."""
    return scaled >> (_BITS - 64)


def _root_of_two_pi() -> tuple[int, int]:
    low = 2 * _PI * _ONE * _ONE
    high = 2 * (_PI + Fraction(1, 10**61)) * _ONE * _ONE
    return math.isqrt(math.floor(low)), math.isqrt(math.floor(high)) + 1
