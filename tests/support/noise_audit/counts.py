"""How often each value was drawn, against its exact probability."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from purecert.engine.noise.table import NoiseTable, smoothing_noise
from support.noise_audit.finding import Finding, binomial, chi_square, normal
from support.noise_audit.law import Law, clipped_law, pooled, unclipped_law
from support.noise_audit.source import NoiseSource

_ELEMENTS = 3072  # a row of CIFAR-10
_ROWS_AT_ONCE = 1024
_LEAST_EXPECTED = 20.0  # draws a cell, from which Pearson's statistic follows its law
_COARSE_CELLS = 16  # few cells see a small fault of the top bits that many cells drown
_TAILS = (1, 2, 3, 4, 5)
_LONG_ROW = 1 << 22
_GRANULAR_FROM = 4  # standard deviations
_WORDS = 1 << 16


def table_findings(source: NoiseSource, table: NoiseTable, draws: int, *, seed: int, purpose: int = 0) -> list[Finding]:
    """Return how at least ``draws`` values of many images, both phases and many draws fit the law of ``table``."""
    law = clipped_law(table)
    counts = _histogram(_row_chunks(source, table, draws, seed=seed, purpose=purpose), law)
    return _count_findings(f"scale {float(table.scale):g}", counts, law)


def wide_findings(source: NoiseSource, sigma: float, draws: int, *, seed: int) -> list[Finding]:
    """Return the same of unclipped rows of a wide table, and whether the far tail is made of many values.

    At 65,000 thresholds one draw in 65,000 is decided by the low word, and beyond 5.2 sigma every draw is.
    """
    law = unclipped_law(smoothing_noise(sigma))
    chunks = (
        source.row(sigma, _LONG_ROW, seed=seed, image=3, phase=1, draw=number)
        for number in range(-(-draws // _LONG_ROW))
    )
    counts = _histogram(chunks, law)
    return [*_count_findings("wide table", counts, law), _collisions("wide table", counts, law)]


def _row_chunks(
    source: NoiseSource, table: NoiseTable, draws: int, *, seed: int, purpose: int
) -> Iterable[NDArray[np.int16]]:
    for number in range(-(-draws // (_ELEMENTS * _ROWS_AT_ONCE))):
        segments = [
            (10 * number + image, phase, 77 * number, _ROWS_AT_ONCE // 4) for image in (0, 1) for phase in (0, 1)
        ]
        yield source.rows(table, segments, _ELEMENTS, seed=seed, purpose=purpose)


def _histogram(chunks: Iterable[NDArray[np.int16]], law: Law) -> NDArray[np.int64]:
    """Return how often each value of the law was drawn."""
    counts = np.zeros(_WORDS, dtype=np.int64)
    for chunk in chunks:
        counts += np.bincount(chunk.reshape(-1).view(np.uint16), minlength=_WORDS)
    return counts[law.values]  # negative values count from the end, as in two's complement


def _count_findings(name: str, counts: NDArray[np.int64], law: Law) -> list[Finding]:
    draws = int(counts.sum())
    expected = law.masses * draws
    cells = {"every value": pooled(expected, _LEAST_EXPECTED), "coarse": law.cells(_COARSE_CELLS)}
    squares = [
        chi_square(f"{name}: chi-square, {label}", np.add.reduceat(counts, at), np.add.reduceat(expected, at))
        for label, at in cells.items()
    ]
    tails = [
        binomial(
            f"{name}: beyond {k} sigma", int(counts[np.abs(law.values) > k * law.scale].sum()), draws, law.beyond(k)
        )
        for k in _TAILS
    ]
    return [*squares, *_moments(name, counts, law), *tails]


def _moments(name: str, counts: NDArray[np.int64], law: Law) -> list[Finding]:
    draws = int(counts.sum())
    values = law.values.astype(np.float64)
    second, fourth = law.moment(2), law.moment(4)
    mean = (counts * values).sum() / draws - law.moment(1)
    square = (counts * values**2).sum() / draws - second
    return [
        normal(f"{name}: mean", float(mean / (second / draws) ** 0.5), draws),
        normal(f"{name}: variance", float(square / ((fourth - second**2) / draws) ** 0.5), draws),
    ]


def _collisions(name: str, counts: NDArray[np.int64], law: Law) -> Finding:
    """Return whether draws beyond 4 sigma fall on equal values as often as the law says.

    Uniforms of few bits leave atoms there, which single cells with hardly a draw each cannot show. The counts are all
    but independent Poisson variables of means m, so pairs of equal draws have mean sum m^2 / 2 and variance
    sum (m^2 / 2 + m^3).
    """
    far = np.abs(law.values) > _GRANULAR_FROM * law.scale
    means, found = law.masses[far] * counts.sum(), counts[far]
    pairs = float((found * (found - 1) / 2).sum())
    mean, variance = float((means**2 / 2).sum()), float((means**2 / 2 + means**3).sum())
    test = f"{name}: equal values beyond {_GRANULAR_FROM} sigma"
    return normal(test, (pairs - mean) / variance**0.5, int(counts.sum()))
