"""Drawn values follow the exact probabilities of their table."""

from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import special

from purecert.engine.noise import fill_rows
from purecert.engine.noise_table import NoiseTable, smoothing_noise

_ROWS, _ELEMENTS = 3300, 3072  # 10 million values
# The seed is fixed, so these never fail by chance; a wrong law would be far outside.
_P_VALUES = (1e-6, 1 - 1e-6)
_DEVIATIONS = 5.0


def _probabilities(table: NoiseTable) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    edges = [0, *table.thresholds.tolist(), 2**64]
    masses = [(above - below) / 2**64 for below, above in pairwise(edges)]
    return np.arange(-table.reach, table.reach + 1), np.array(masses)


def _noise(table: NoiseTable, *, purpose: int = 0, phase: int = 0) -> NDArray[np.int16]:
    out = np.empty((_ROWS, _ELEMENTS), dtype=np.int16)
    fill_rows(table, out, np.array([[0, 4, phase, 1000, _ROWS]]), seed=20_260_101, purpose=purpose, threads=2)
    return out


def _pooled(counts: NDArray[np.float64], least: float) -> NDArray[np.int64]:
    """Starts of runs of neighbouring values that each expect at least ``least`` draws."""
    starts, total = [0], 0.0
    for index, count in enumerate(counts):
        if total >= least and counts[index:].sum() >= least:
            starts.append(index)
            total = 0.0
        total += count
    return np.array(starts)


@pytest.mark.parametrize("sigma", [0.01, 0.25, 1.0])
def test_counts_fit_the_exact_probabilities(sigma: float) -> None:
    table = smoothing_noise(sigma)
    drawn = _noise(table)
    values, masses = _probabilities(table)
    observed = np.bincount(drawn.ravel().astype(np.int64) + 2048, minlength=4096).astype(np.float64)
    expected = np.zeros(4096)  # rows are clipped: what lies beyond gathers at the ends
    np.add.at(expected, np.clip(values, -2048, 2047) + 2048, masses * drawn.size)
    starts = _pooled(expected, 20.0)
    wanted, found = np.add.reduceat(expected, starts), np.add.reduceat(observed, starts)
    statistic = ((found - wanted) ** 2 / wanted).sum()
    assert _P_VALUES[0] < special.chdtrc(len(starts) - 1, statistic) < _P_VALUES[1]


@pytest.mark.parametrize("sigma", [0.01, 0.25])
def test_moments_fit_the_exact_probabilities(sigma: float) -> None:
    table = smoothing_noise(sigma)
    drawn = _noise(table).astype(np.float64)
    values, masses = _probabilities(table)
    variance, fourth = (masses * values**2.0).sum(), (masses * values**4.0).sum()
    assert abs(drawn.mean()) < _DEVIATIONS * (variance / drawn.size) ** 0.5
    assert abs((drawn**2).mean() - variance) < _DEVIATIONS * ((fourth - variance**2) / drawn.size) ** 0.5


def test_neighbours_draws_phases_and_purposes_are_uncorrelated() -> None:
    table = smoothing_noise(0.25)
    base = _noise(table)
    partners: list[tuple[NDArray[np.int16], NDArray[np.int16]]] = [
        (base[:, :-1], base[:, 1:]),
        (base[:, :-4], base[:, 4:]),
        (base[:-1], base[1:]),
        (base, _noise(table, phase=1)),
        (base, _noise(table, purpose=1)),
    ]
    for one, other in partners:
        correlation = (one.astype(np.float64) * other).mean() / (one.std() * other.std())
        assert abs(correlation) < _DEVIATIONS / one.size**0.5
