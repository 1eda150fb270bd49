"""The exact law of one noise value, from its thresholds alone."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from purecert.engine.noise.table import NoiseTable

LOWEST, HIGHEST = -2048, 2047  # rows are clipped here (kernels/README.md)


@dataclass(frozen=True, kw_only=True, slots=True)
class Law:
    """The probabilities of ``lowest``, ``lowest`` + 1, ...; of a table, T_(j+1) - T_j over 2^64."""

    scale: float
    lowest: int
    masses: NDArray[np.float64]

    @property
    def values(self) -> NDArray[np.int64]:
        """Return every value that has a mass."""
        return np.arange(self.lowest, self.lowest + self.masses.size)

    def moment(self, order: int) -> float:
        """Return E[q^order]."""
        return float((self.masses * self.values.astype(np.float64) ** order).sum())

    def beyond(self, deviations: float) -> float:
        """Return P(|q| > deviations * scale)."""
        return float(self.masses[np.abs(self.values) > deviations * self.scale].sum())

    def cells(self, count: int) -> NDArray[np.int64]:
        """Return where ``count`` cells of about equal probability start, as indices into ``masses``."""
        return pooled(self.masses, 1 / (count + 0.5))


def unclipped_law(table: NoiseTable) -> Law:
    """Return the law of single draws."""
    edges = [0, *table.thresholds.tolist(), 2**64]
    masses = np.array([(above - below) / 2**64 for below, above in pairwise(edges)])
    return Law(scale=float(table.scale), lowest=-table.reach, masses=masses)


def clipped_law(table: NoiseTable) -> Law:
    """Return the law of rows without images, over all of [-2048, 2047]: what lies beyond gathers at the ends."""
    free = unclipped_law(table)
    masses = np.bincount(
        np.clip(free.values, LOWEST, HIGHEST) - LOWEST, weights=free.masses, minlength=HIGHEST - LOWEST + 1
    )
    return Law(scale=free.scale, lowest=LOWEST, masses=masses)


def pooled(expected: NDArray[np.float64], least: float) -> NDArray[np.int64]:
    """Return the starts of runs of neighbouring cells that each expect at least ``least``."""
    starts, total, rest = [0], 0.0, float(expected.sum())
    for index, count in enumerate(expected):
        if total >= least and rest >= least:
            starts.append(index)
            total = 0.0
        total += count
        rest -= count
    return np.array(starts)
