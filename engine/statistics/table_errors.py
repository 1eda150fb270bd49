"""How often a stopping table errs, and how much it draws: sums over (draws, successes).

More successes never take a certificate away, so the chance to certify grows with the class's probability, and among
those that must not be certified it is largest at the threshold. There it is one sum, which is all that a table's claim
rests on, whatever made the table. It counts the paths that giving up ends: who draws on after that proves nothing. And
it takes every draw to have the same law, so it does not hold where a row's place in a batch matters.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from purecert.engine.statistics.bounds import Floats
from purecert.engine.statistics.stopping_tables import MAX_TABLE_DRAWS, StoppingTable

_UNIT = 2.0**-53  # the relative error of one operation
_NEGLIGIBLE = 1e-40  # a probability so small is added to the error instead of being followed further


@dataclass(frozen=True, kw_only=True, slots=True)
class Ends:
    """Where paths of a table end, and how likely that is at its threshold."""

    draws: NDArray[np.int64]
    successes: NDArray[np.int64]
    certifies: NDArray[np.bool_]
    probability: Floats  # at the threshold


def false_claims_at_most(table: StoppingTable) -> float:
    """Return an upper bound on the probability that ``table`` certifies a class that is not above its threshold.

    The sum at the threshold, all of whose terms are positive, enlarged by what rounding may have taken off it: each
    weight of the binomial law is a product of ratios (a few roundings each) over a sum of such products, and each
    look multiplies and adds once more. What is too unlikely to be followed counts as certified.
    """
    total, lost, relative = 0.0, 0.0, 0.0
    for part in _walk(table):
        total += float(part.certified.sum())
        lost += part.lost
        relative += part.relative_error
    # (1 + u)^m <= 1 + 1.01 m u for such m; the sum over looks adds its own roundings.
    return float(total * (1 + 1.01 * (relative + (MAX_TABLE_DRAWS + len(table.looks)) * _UNIT)) + lost)


def ends_of(table: StoppingTable) -> Ends:
    """Return every end that a path of ``table`` can come to, apart from those less likely than 1e-40."""
    columns: list[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_], Floats]] = []
    for part in _walk(table):
        for first, mass, is_high in ((part.first_given_up, part.given_up, False), (part.high, part.certified, True)):
            k = first + np.arange(len(mass))
            columns.append((np.full(len(k), part.draws), k, np.full(len(k), is_high), mass))
    return Ends(
        draws=np.concatenate([column[0] for column in columns]),
        successes=np.concatenate([column[1] for column in columns]),
        certifies=np.concatenate([column[2] for column in columns]),
        probability=np.concatenate([column[3] for column in columns]),
    )


def expected(table: StoppingTable, p: Floats) -> tuple[Floats, Floats]:
    """Return the chance to certify and the expected draws at each success probability ``p`` in (0, 1).

    A path that ends with k successes in n draws is (p / p0)^k ((1 - p) / (1 - p0))^(n - k) times as likely at p as at
    the threshold p0, whatever way it took.
    """
    ends = ends_of(table)
    failures = ends.draws - ends.successes
    certified, draws = np.empty(len(p)), np.empty(len(p))
    log_mass = np.log(np.maximum(ends.probability, np.finfo(np.float64).tiny))
    for place, one in enumerate(p):
        ratio = ends.successes * math.log(one / table.threshold)
        ratio += failures * (math.log1p(-one) - math.log1p(-table.threshold))
        likely = np.exp(log_mass + ratio)
        certified[place], draws[place] = likely[ends.certifies].sum(), (likely * ends.draws).sum()
    return certified, draws


@dataclass(frozen=True, slots=True)
class _Part:
    """What ends at one look, by successes from a first number on; and what the sum there may have lost."""

    draws: int
    first_given_up: int
    given_up: Floats
    high: int  # the first number of ``certified``
    certified: Floats
    lost: float
    relative_error: float  # of every probability here, over those of the look before


def _walk(table: StoppingTable) -> Iterator[_Part]:
    """Yield what ends at each look, at the threshold."""
    mass, first, drawn = np.ones(1), 0, 0  # of ``first``, ``first`` + 1, ... successes that go on
    for draws, high, low in zip(table.looks, table.high, table.low, strict=True):
        least, weights, roundings = binomial_weights(draws - drawn, table.threshold)
        came, lost = np.convolve(mass, weights), draws * _NEGLIGIBLE  # of weights left out
        base, drawn = first + least, draws
        above, below = np.clip([high - base, low + 1 - base], 0, len(came))
        yield _Part(
            draws=draws,
            first_given_up=base,
            given_up=came[:below],
            high=base + int(above),
            certified=came[above:],
            lost=lost + _forgotten(came[below:above]),
            relative_error=(roundings + len(mass) + 2) * _UNIT,
        )
        mass, first = _followed(came[below:above], base + int(below))
        if not mass.size:
            return


def _forgotten(mass: Floats) -> float:
    return float(mass[mass < _NEGLIGIBLE].sum()) * 1.01 + len(mass) * np.finfo(np.float64).tiny


def _followed(mass: Floats, first: int) -> tuple[Floats, int]:
    """Return ``mass`` with what is negligible taken off: zero inside, away at both ends."""
    kept = np.flatnonzero(mass >= _NEGLIGIBLE)
    if not kept.size:
        return np.zeros(0), first
    inner = mass[kept[0] : kept[-1] + 1]
    return np.where(inner >= _NEGLIGIBLE, inner, 0.0), first + int(kept[0])


@lru_cache(maxsize=4096)
def binomial_weights(draws: int, p: float) -> tuple[int, Floats, float]:
    """Return the binomial law of ``draws`` at ``p`` in [1/2, 1): its first successes, its weights, their roundings.

    Left out is what is less than 1e-40 each. The weights are right to so many relative roundings of 2^-53: ratios of
    neighbours multiplied up from the likeliest, over their sum, which is 1 less what is left out. 1 - p is exact.
    """
    ratio, mode = p / (1 - p), min(draws, int((draws + 1) * p))
    up, down = np.arange(mode, draws), np.arange(mode, 0, -1)
    above, below = np.cumprod((draws - up) / (up + 1) * ratio), np.cumprod(down / (draws - down + 1) / ratio)
    weights = np.concatenate([below[::-1], np.ones(1), above])
    kept = np.flatnonzero(weights >= _NEGLIGIBLE)
    first, weights = int(kept[0]), weights[kept[0] : kept[-1] + 1]
    # A ratio takes four roundings and its product one, on each side of the division; then the sum, and the division.
    roundings = 2 * 5 * len(weights) + len(weights) + 2
    return first, weights / weights.sum(), roundings
