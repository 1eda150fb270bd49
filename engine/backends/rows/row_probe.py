"""The noisy rows that the row check is run on: of the run's own images, under other seeds than the run's."""

import secrets
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64, UInt8
from numpy.typing import NDArray

from purecert.engine.backends.graph import filled_inputs
from purecert.engine.backends.rows.row_layouts import probe_addresses
from purecert.engine.noise.contract import SELECT
from purecert.engine.noise.inputs import noise_of_inputs, row_addresses
from purecert.engine.plans.plan import Plan

_SEED_BITS = 64
_IMAGES_AT_ONCE = 8  # whose batches are compared: as many rows as the row check holds by default, or a few times that


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class RowProbe:
    """Where the check's rows come from."""

    plan: Plan
    sigma: float
    images: UInt8[np.ndarray, "images channels height width"]
    indices: Int64[np.ndarray, " images"]  # of the images in the data set
    batch: int
    threads: int

    def rows(self, count: int, run_seed: int) -> list[NDArray[np.generic]]:
        """Return ``count`` distinct rows, an array per graph input, the same for one ``run_seed``."""
        return self._drawn((run_seed + 1) % 2**_SEED_BITS, probe_addresses(count, self.batch, self.indices))

    def rows_of_images(self, checked: int) -> Iterator[list[NDArray[np.generic]]]:
        """Yield a batch of rows of each of ``checked`` images, a few images at a time.

        The system's entropy chooses the images and draws the noise, so that a plan's maker could not know either.
        """
        chosen = secrets.SystemRandom().sample(range(len(self.images)), checked)
        for first in range(0, checked, _IMAGES_AT_ONCE):
            slots = np.repeat(np.array(chosen[first : first + _IMAGES_AT_ONCE], np.int64), self.batch)
            draws = np.tile(np.arange(self.batch), len(slots) // self.batch)
            addresses = row_addresses(slots, self.indices, SELECT, draws)
            yield self._drawn(secrets.randbits(_SEED_BITS), addresses)

    def _drawn(self, seed: int, addresses: Int64[np.ndarray, "rows 5"]) -> list[NDArray[np.generic]]:
        inputs = self.plan.record.inputs
        noise = noise_of_inputs(len(inputs), self.sigma, seed, self.threads)
        return filled_inputs(inputs, noise, addresses, self.images)
