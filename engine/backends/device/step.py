"""One batch on a device: noise into the inputs, through the network, votes into the counts."""

from collections.abc import Callable, Sequence
from typing import final

import numpy as np
import torch
from jaxtyping import Float, Int32
from numpy.typing import NDArray
from torch import Tensor

from purecert.engine.backends.base import MAX_SEGMENTS
from purecert.engine.backends.device.kernels import EXTRA_COUNTS, batch_noises, enqueue_votes, load_kernels
from purecert.engine.backends.device.program import CompiledProgram
from purecert.engine.backends.device.queue import DeviceQueue
from purecert.engine.backends.device.row_map import WORDS
from purecert.engine.backends.graph import HostGraph, input_buffers, pytorch_failures
from purecert.engine.noise_inputs import InputNoise
from purecert.engine.plan import PlanRecord


@final
class DeviceStep:
    """The buffers of a batch, at fixed addresses, and the work on them that is enqueued again and again."""

    def __init__(
        self,
        queue: DeviceQueue,
        program: CompiledProgram,
        noise: Sequence[InputNoise],
        record: PlanRecord,
        slots: int,
        max_pieces: int,
    ) -> None:
        """Reserve the buffers, and have the queue make the step repeatable."""
        self.queue, self._program = queue, program
        self._kernels = load_kernels(queue.device)
        with queue.entered():
            self.images = torch.zeros((slots, *record.inputs[0].shape), dtype=torch.uint8, device=queue.device)
            self.row_map = torch.zeros((1 + max_pieces, WORDS), dtype=torch.int32, device=queue.device)
            counts = (MAX_SEGMENTS, record.classes + EXTRA_COUNTS)
            self.counts = torch.zeros(counts, dtype=torch.int32, device=queue.device)
            self._noises = batch_noises(self._kernels, noise, program.inputs, self.images)
        self.repeat: Callable[[], None] = queue.repeatable(self._enqueue)

    def _enqueue(self) -> None:
        """Enqueue one batch: that which comes next in the row map."""
        for noise in self._noises:
            noise.enqueue(self.row_map, self.queue.handle)
        label, _ = self._program.run()
        batch = len(self._program.inputs[0])
        enqueue_votes(self._kernels, self.row_map, label, batch, self.counts, self.queue.handle)


@final
class ProbedProgram(HostGraph):
    """A compiled program with host buffers for its inputs, as the row check asks for it."""

    def __init__(self, queue: DeviceQueue, program: CompiledProgram, record: PlanRecord) -> None:
        self._queue, self._program, self._precision = queue, program, record.precision
        self._inputs = input_buffers(record.inputs, len(program.inputs[0]))

    @property
    def inputs(self) -> Sequence[NDArray[np.generic]]:
        return self._inputs

    def labels(self) -> Int32[np.ndarray, " batch"]:
        return np.asarray(self._run()[0].cpu().numpy())

    def logits(self) -> Float[np.ndarray, "batch classes"] | None:
        return np.asarray(self._run()[1].cpu().numpy())

    @property
    def digest(self) -> str:
        return self._program.digest

    @property
    def executed_precision(self) -> str:
        return self._precision

    @property
    def versions(self) -> dict[str, str]:
        return self._queue.versions()

    def close(self) -> None:
        del self._program

    def _run(self) -> tuple[Tensor, Tensor]:
        with pytorch_failures(), self._queue.entered():
            for buffer, rows in zip(self._program.inputs, self._inputs, strict=True):
                buffer.copy_(torch.from_numpy(rows))
            outputs = self._program.run()
            self._queue.mark()()
            return outputs
