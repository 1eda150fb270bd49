"""A backend that loses submissions, for what must happen then."""

from collections.abc import Sequence
from concurrent.futures import Future
from typing import final

import numpy as np
from numpy.typing import NDArray

from purecert.engine.backends.base import Backend, BackendInfo, Segment
from purecert.engine.errors import BackendError


@final
class FaultyBackend(Backend):
    """A real backend whose chosen submissions fail, as a device's would: the fault, not the engine, is made up."""

    def __init__(self, inner: Backend, failing: Sequence[int]) -> None:
        """Lose the submissions that ``failing`` numbers, from 1."""
        self._inner, self._failing, self.submissions = inner, failing, 0

    @property
    def info(self) -> BackendInfo:
        return self._inner.info

    @property
    def slots(self) -> int:
        return self._inner.slots

    @property
    def capacity(self) -> int:
        return self._inner.capacity

    def place(self, slot: int, image_index: int, pixels: NDArray[np.uint8]) -> None:
        self._inner.place(slot, image_index, pixels)

    def submit(self, segments: Sequence[Segment]) -> Future[NDArray[np.int64]]:
        self.submissions += 1
        if self.submissions in self._failing:
            lost: Future[NDArray[np.int64]] = Future()
            lost.set_exception(BackendError("the device was lost"))
            return lost
        return self._inner.submit(segments)

    def close(self) -> None:
        self._inner.close()
