"""A backend whose graph is made up: each image's labels are drawn from its own law, for what only counts decide.

Draws are addressed by image, phase and number, as those of real noise are, so batching cannot change them.
"""

from collections.abc import Sequence
from concurrent.futures import Future
from typing import final

import numpy as np
from numpy.typing import NDArray

from purecert.engine.backends.base import MAX_SEGMENTS, Backend, BackendInfo, Segment
from purecert.engine.backends.host import HOST_SLOTS

_BATCHES_PER_SUBMISSION = 4  # as of every graph on the host
_BLOCK = 1024  # draws of one address


@final
class SimulatedGraph(Backend):
    """Holds images in slots, as any backend does, and labels each draw by its image's law."""

    def __init__(
        self, laws: NDArray[np.float64], *, seed: int, batch: int, slots: int = HOST_SLOTS, static: bool = False
    ) -> None:
        """Prepare for ``laws`` [images, classes + 1]: the probability of each class and of an invalid row."""
        self._laws, self._slots = laws, slots
        self._image = np.full(slots, -1)
        self._seed = seed
        self._blocks: dict[int, tuple[tuple[int, int, int], NDArray[np.int64]]] = {}  # the last of each slot
        self._info = BackendInfo(
            name="simulated",
            executed_precision="fp64",
            versions={"numpy": np.__version__},
            graph="",
            nodes={},
            trusted=False,
            hardware="none",
            threads=1,
            batch=batch,
            placement="static" if static else "row_invariant",
            probed="labels",
            probe_rows=0,
        )

    @property
    def info(self) -> BackendInfo:
        return self._info

    @property
    def slots(self) -> int:
        return self._slots

    @property
    def capacity(self) -> int:
        return _BATCHES_PER_SUBMISSION * self._info.batch

    def place(self, slot: int, image_index: int, pixels: NDArray[np.uint8]) -> None:
        self._image[slot] = image_index

    def submit(self, segments: Sequence[Segment]) -> Future[NDArray[np.int64]]:
        assert sum(segment.count for segment in segments) <= self.capacity
        assert len(segments) <= MAX_SEGMENTS
        done: Future[NDArray[np.int64]] = Future()
        done.set_result(np.stack([self._count(segment) for segment in segments]))
        return done

    def close(self) -> None:
        """Nothing is held."""

    def _count(self, segment: Segment) -> NDArray[np.int64]:
        counts, number, end = np.zeros(self._laws.shape[1], np.int64), segment.first, segment.first + segment.count
        while number < end:
            block, start = divmod(number, _BLOCK)
            stop = min(_BLOCK, start + end - number)
            labels = self._labels(segment.slot, segment.phase, block)[start:stop]
            counts += np.bincount(labels, minlength=len(counts))
            number += stop - start
        return counts

    def _labels(self, slot: int, phase: int, block: int) -> NDArray[np.int64]:
        address = (int(self._image[slot]), phase, block)
        if slot not in self._blocks or self._blocks[slot][0] != address:
            uniform = np.random.default_rng((self._seed, *address)).random(_BLOCK)
            ends = np.cumsum(self._laws[address[0]])
            labels = np.searchsorted(ends / ends[-1], uniform, side="right")
            self._blocks[slot] = (address, labels)
        return self._blocks[slot][1]
