"""Exact tests of votes that were drawn twice: did a run's votes lean to the side that makes its claims larger?

Each p-value is rounded up. No honest run's is at or below a level with more than that probability.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import special

from purecert.engine.statistics.bounds import require

LEVEL = 1e-6  # at or below it, chance is no longer believed
_SLACK = 1e-9
_LEAST_LEANING = 1e-300  # SciPy's tail may be 0 below
# What the Fourier sums below are off by, and what is cut off their ends, stays far below this.
_LEAST_STRATIFIED = 1e-12
# A hypergeometric number is a sum of independent events (Vatutin and Mikhailov, 1982), so Bernstein's inequality holds:
# so many standard deviations and so much beyond them lies less than exp(-60).
_DEVIATIONS, _BEYOND = 24, 40
_FINENESS, _MOST_STEPS = 16, 128  # of differences in standard errors, as whole numbers: up to 8 of them

Floats = NDArray[np.float64]


def leaning_p_value(net: int, differing_at_most: int, chance: float = 0.5) -> float:
    """Return how likely ``net`` more votes for a class than against it are among votes that differ, by chance alone.

    Counts show the net of an image's differing votes only: one for and one against leave no trace. So the test takes as
    many to differ as may: the more there are, the further chance alone carries their net. A test that took the visible
    ones for all would call an honest run forged.

    Args:
        net: Votes for less votes against.
        differing_at_most: How many votes may differ, at least ``net``.
        chance: Probability, at most, that a vote which differs does so for the class.

    Raises:
        ValueError: A number is outside its range.
    """
    require(net <= differing_at_most and differing_at_most >= 0, f"a net of at most {differing_at_most}, got {net}")
    require(0 < chance < 1, f"a chance in (0, 1), got {chance}")
    least_for = (differing_at_most + net) // 2  # where an odd vote is left, it may not have differed
    if net <= 0 or not least_for:
        return 1.0
    tail = float(special.betainc(least_for, differing_at_most - least_for + 1, chance))
    return min(1.0, max(tail * (1 + _SLACK), _LEAST_LEANING))


def stratified_p_value(
    votes: Sequence[int],
    draws: Sequence[int],
    other_votes: Sequence[int],
    other_draws: Sequence[int],
    *,
    upward_only: bool = False,
) -> float:
    """Return the p-value of one function drawn from twice, image by image, at fixed numbers of draws.

    Given an image's votes of both times together, those of the first time are hypergeometric if one function gave all.
    Compared is their sum over the images, whose law is the convolution of theirs. At least 1e-12.

    Args:
        votes: Votes of each image's class, the first time.
        draws: Draws of each image, the first time.
        other_votes: The same the second time.
        other_draws: The same the second time.
        upward_only: Whether too few votes the first time are no matter; else the test is two-sided.

    Raises:
        ValueError: The lists are of different lengths, or votes outnumber draws.
    """
    counts = list(zip(votes, draws, other_votes, other_draws, strict=True))
    require(all(0 <= a <= m and 0 <= b <= n and m + n > 0 for a, m, b, n in counts), "votes in [0, draws]")
    laws = [_hypergeometric(a + b, m, n) for a, m, b, n in counts]
    if not laws:
        return 1.0
    first, law = _sum_law(laws)
    at = sum(votes) - first
    upper, lower = float(law[max(at, 0) :].sum()), float(law[: max(at + 1, 0)].sum())
    return min(1.0, (upper if upward_only else 2 * min(upper, lower)) + _LEAST_STRATIFIED)


def sign_flip_p_value(differences: Sequence[float]) -> float:
    """Return the one-sided p-value of ``differences`` that are each as likely to have the other sign.

    Exact: the probability, over every way to flip the signs, of a sum at least as large. No smaller than 2^-images, so
    fewer than 20 images can never reach the level.

    Args:
        differences: Of each image, in standard errors; finite. Taken in sixteenths, and none as more than 8.
    """
    steps = _steps(differences)
    sizes = np.abs(steps)
    middle = int(sizes.sum())
    law = np.zeros(2 * middle + 1)
    law[middle] = 1.0
    for size in sizes[sizes > 0]:
        flipped = np.zeros_like(law)
        flipped[size:] += law[:-size] / 2
        flipped[:-size] += law[size:] / 2
        law = flipped
    return min(1.0, float(law[middle + int(steps.sum()) :].sum()) * (1 + _SLACK))


def flippable(differences: Sequence[float]) -> int:
    """Return how many of ``differences``, as ``sign_flip_p_value`` takes them, another sign makes others."""
    return int(np.count_nonzero(_steps(differences)))


def _steps(differences: Sequence[float]) -> NDArray[np.int64]:
    steps = np.rint(np.asarray(differences, np.float64) * _FINENESS)
    return np.clip(steps, -_MOST_STEPS, _MOST_STEPS).astype(np.int64)


def standard_error_difference(k: int, n: int, other_k: int, other_n: int) -> float:
    """Return by how many standard errors k / n is above ``other_k`` / ``other_n``; 0 where all votes agree."""
    p = (k + other_k) / (n + other_n)
    variance = p * (1 - p) * (1 / n + 1 / other_n)
    return (k / n - other_k / other_n) / math.sqrt(variance) if variance > 0 else 0.0


def at_least_so_many_p_value(found: int, of: int, chance: float) -> float:
    """Return the probability, rounded up, of ``found`` or more of ``of`` events that each happen with ``chance``."""
    if found == 0 or chance >= 1:
        return 1.0
    return min(1.0, float(special.betainc(found, of - found + 1, chance)) * (1 + _SLACK) + _LEAST_LEANING)


def _hypergeometric(votes: int, draws: int, other_draws: int) -> tuple[int, Floats]:
    """Return the first number of the first time's votes that is not too unlikely to matter, and the law from there."""
    whole = draws + other_draws
    lowest, highest = max(0, votes - other_draws), min(votes, draws)
    mode = (votes + 1) * (draws + 1) // (whole + 2)
    spread = votes / whole * (1 - votes / whole) * draws * other_draws / max(whole - 1, 1)
    reach = _reach(spread)
    first, last = max(lowest, mode - reach), min(highest, mode + reach)
    k = np.arange(first, last, dtype=np.float64)
    # P(k + 1) / P(k); products from the mode outwards keep every value right to its last digits.
    ratios = (votes - k) * (draws - k) / ((k + 1) * (other_draws - votes + k + 1))
    logs = np.concatenate([[0.0], np.cumsum(np.log(ratios))])
    law = np.exp(logs - logs.max())
    return first, law / law.sum()


def _sum_law(laws: list[tuple[int, Floats]]) -> tuple[int, Floats]:
    """Return the law of the sum of independent numbers: its first value, and its probabilities from there."""
    while len(laws) > 1:
        pairs = [_convolved(one, other) for one, other in zip(laws[::2], laws[1::2], strict=False)]
        laws = pairs + laws[len(pairs) * 2 :]
    return laws[0]


def _convolved(one: tuple[int, Floats], other: tuple[int, Floats]) -> tuple[int, Floats]:
    size = len(one[1]) + len(other[1]) - 1
    padded = 1 << (size - 1).bit_length()
    product = np.fft.rfft(one[1], padded) * np.fft.rfft(other[1], padded)
    law = np.maximum(np.fft.irfft(product, padded)[:size], 0.0)
    values = np.arange(size)
    mean = float(values @ law)
    reach = _reach(float((values - mean) ** 2 @ law))
    start, end = max(0, math.floor(mean) - reach), math.ceil(mean) + reach + 1
    return one[0] + other[0] + start, law[start:end]


def _reach(variance: float) -> int:
    return math.ceil(_DEVIATIONS * math.sqrt(variance)) + _BEYOND
