"""The noise of each graph input: which table, which purpose, and what it costs in total variation."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from purecert.engine.noise.rows import fill_rows
from purecert.engine.noise.table import NoiseTable, extra_noise, smoothing_noise


@dataclass(frozen=True, kw_only=True, slots=True)
class InputNoise:
    """The noise of one graph input under one seed."""

    table: NoiseTable
    seed: int
    purpose: int  # 0: added to the image; from 1: a purifier's own randomness
    threads: int

    def fill(self, rows: NDArray[np.generic], addresses: NDArray[np.int64], images: NDArray[np.uint8]) -> None:
        """Write the rows at ``addresses`` [m, 5] (slot, image index, phase, first draw, count) into ``rows``."""
        fill_rows(
            self.table,
            rows.reshape(len(rows), -1),
            addresses,
            seed=self.seed,
            purpose=self.purpose,
            images=images.reshape(len(images), -1) if self.purpose == 0 else None,
            threads=self.threads,
        )


def row_addresses(
    slots: NDArray[np.int64], indices: NDArray[np.int64], phase: int, draws: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Return the addresses [m, 5] of single rows, for ``InputNoise.fill``: draw ``draws[i]`` of image ``slots[i]``.

    ``indices`` are those of all images in their data set.
    """
    ones = np.ones_like(slots)
    return np.stack([slots, indices[slots], ones * phase, draws, ones], axis=1)


def noise_of_inputs(inputs: int, sigma: float, seed: int, threads: int) -> list[InputNoise]:
    """Return the noise of each of a graph's inputs, in their order, where there are ``inputs`` of them."""
    return [
        InputNoise(table=table, seed=seed, purpose=purpose, threads=threads)
        for purpose, table in enumerate(_tables(sigma, inputs))
    ]


def total_variation(elements: Sequence[int], sigma: float) -> float:
    """Return how far, at most, one draw's noise is from ideal in total variation; ``elements`` as in run.json."""
    tables = _tables(sigma, len(elements))
    return sum(table.tv_budget(count) for table, count in zip(tables, elements, strict=True))


def _tables(sigma: float, inputs: int) -> list[NoiseTable]:
    return [smoothing_noise(sigma), *(extra_noise() for _ in range(1, inputs))]
