"""Where noise comes from: the engine's own door, or one behind which a fault is planted (``shim.py``)."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from purecert.engine.noise import rows as noise
from purecert.engine.noise.paths import NoisePath
from purecert.engine.noise.table import NoiseTable

Segments = list[tuple[int, int, int, int]]  # (image, phase, first draw, draws)


class NoiseSource(Protocol):
    """Whatever hands out noise values by address."""

    def rows(
        self, table: NoiseTable, segments: Segments, elements: int, *, seed: int, purpose: int = 0
    ) -> NDArray[np.int16]:
        """Return clip(q) of the segments' rows, [rows, elements]."""

    def row(self, sigma: float, count: int, *, seed: int, image: int, phase: int, draw: int) -> NDArray[np.int16]:
        """Return q of one row, not clipped, [count]."""


class WordSource(Protocol):
    """Whatever hands out the uniform words under the noise by address."""

    def words(self, segments: Segments, elements: int, *, seed: int, half: int, purpose: int = 0) -> NDArray[np.uint32]:
        """Return the words of the segments' rows, [rows, elements]; half 0 are the high ones."""


@dataclass(frozen=True, slots=True)
class Kernel:
    """The engine's noise, by the path named or the fastest one."""

    path: NoisePath | None = None

    def rows(
        self, table: NoiseTable, segments: Segments, elements: int, *, seed: int, purpose: int = 0
    ) -> NDArray[np.int16]:
        """Return what ``fill_rows`` writes without images."""
        out = np.empty((sum(count for *_, count in segments), elements), dtype=np.int16)
        columns = np.array([(0, *segment) for segment in segments], dtype=np.int64)
        noise.fill_rows(table, out, columns, seed=seed, purpose=purpose, path=self.path)
        return out

    def row(self, sigma: float, count: int, *, seed: int, image: int, phase: int, draw: int) -> NDArray[np.int16]:
        """Return what ``draw`` hands out."""
        return noise.draw(sigma, seed=seed, image=image, phase=phase, draw=draw, count=count, path=self.path)
