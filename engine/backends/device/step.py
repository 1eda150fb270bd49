"""One batch on a device: noise into the inputs, through the network, votes into the counts."""

from collections.abc import Callable, Sequence
from typing import final

import numpy as np
from jaxtyping import Float, Int32
from numpy.typing import NDArray

from purecert.engine.backends.base import MAX_SEGMENTS
from purecert.engine.backends.device.array import DeviceArray
from purecert.engine.backends.device.kernels import EXTRA_COUNTS, batch_noises, enqueue_votes
from purecert.engine.backends.device.program import DeviceProgram
from purecert.engine.backends.device.queue import DeviceQueue
from purecert.engine.backends.device.row_map import WORDS
from purecert.engine.backends.graph import HostGraph
from purecert.engine.noise.inputs import InputNoise
from purecert.engine.plans.plan import PlanRecord


@final
class DeviceStep:
    """The buffers of a batch, at fixed addresses, and the work on them that is enqueued again and again."""

    def __init__(
        self,
        queue: DeviceQueue,
        program: DeviceProgram,
        noise: Sequence[InputNoise],
        record: PlanRecord,
        slots: int,
        max_pieces: int,
    ) -> None:
        """Reserve the buffers, and have the queue make the step repeatable where the program allows it."""
        self.queue, self.program = queue, program
        with queue.entered():
            self.images = queue.zeros((slots, *record.inputs[0].shape), np.uint8)
            self.row_map = queue.zeros((1 + max_pieces, WORDS), np.int32)
            # One row more than there are segments: the votes of padding, which nothing reads.
            self.counts = queue.zeros((MAX_SEGMENTS + 1, record.classes + EXTRA_COUNTS), np.int32)
            self._noises = batch_noises(queue, noise, program.inputs, self.images)
        self.repeat: Callable[[], None] = queue.repeatable(self._enqueue) if program.is_capturable else self._enqueue

    def _enqueue(self) -> None:
        """Enqueue one batch: that which comes next in the row map."""
        for noise in self._noises:
            noise.enqueue(self.row_map)
        labels = self.program.labels()
        enqueue_votes(self.queue, self.row_map, labels, self.program.inputs[0].shape[0], self.counts)


@final
class ProbedProgram(HostGraph):
    """A device's program with host buffers for its inputs, as the row check asks for it."""

    def __init__(self, queue: DeviceQueue, program: DeviceProgram) -> None:
        self._queue, self._program = queue, program
        self._inputs = [queue.host_buffer(entry.shape, entry.dtype) for entry in program.inputs]
        for buffer in self._inputs:
            buffer[...] = 0

    @property
    def inputs(self) -> Sequence[NDArray[np.generic]]:
        return self._inputs

    def labels(self) -> Int32[np.ndarray, " batch"]:
        return self._run(self._program.labels)

    def logits(self) -> Float[np.ndarray, "batch classes"] | None:
        probe = self._program.probe
        return None if probe is None else self._run(probe)

    @property
    def digest(self) -> str:
        return self._program.digest

    @property
    def executed_precision(self) -> str:
        return self._program.executed_precision

    @property
    def versions(self) -> dict[str, str]:
        return self._queue.versions() | self._program.versions

    @property
    def nodes(self) -> dict[str, int]:
        return self._program.nodes

    def close(self) -> None:
        self._program.close()
        self._queue.close()

    def _run(self, enqueue: Callable[[], DeviceArray]) -> NDArray[np.generic]:
        with self._queue.failures(), self._queue.entered():
            for target, rows in zip(self._program.inputs, self._inputs, strict=True):
                self._queue.write(target, rows)
            return self._queue.download(enqueue())
