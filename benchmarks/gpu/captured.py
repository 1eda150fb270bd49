"""A step as the backend captures it, beside its parts captured one by one."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import final

import numpy as np
import torch
from gpu.setting import SEED, SIGMA
from gpu.timing import Spread, device_seconds, spread

from purecert.engine.backends.device.kernels import EXTRA_COUNTS, batch_noises, enqueue_votes
from purecert.engine.backends.device.loop import max_pieces
from purecert.engine.backends.device.row_map import row_map
from purecert.engine.backends.device.step import DeviceStep
from purecert.engine.backends.packing import Piece
from purecert.engine.backends.torch.compile import open_program
from purecert.engine.backends.torch.program import TorchProgram
from purecert.engine.backends.torch.queue import TorchQueue
from purecert.engine.errors import CheckError
from purecert.engine.hardware import available_threads
from purecert.engine.images.datasets import Dataset
from purecert.engine.noise.inputs import noise_of_inputs
from purecert.engine.plans.plan import Plan

_ENDLESS = 2**31 - 1  # draws of the map's one piece: no measurement comes to its end
_STEPS = 4  # of a sample, for what takes milliseconds
_SMALL_STEPS = 50  # captured together, for what takes less time than its launch
_WARM_UPS = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class Parts:
    """The times of one batch on the device, in seconds."""

    step: Spread  # noise, network and votes, captured together
    network: Spread
    noise: Spread
    votes: Spread


@final
class CapturedStep:
    """One batch of a plan and its parts, each repeatable."""

    def __init__(self, queue: TorchQueue, plan: Plan, data: Dataset, batch: int) -> None:
        """Compile ``plan`` unless that is done, and capture; draws are of the first image of ``data``."""
        self._queue, self._compiled = queue, open_program(plan, SIGMA, batch, queue, trust=False)
        program = TorchProgram(self._compiled, plan.record.precision)
        self._row_map = row_map([[Piece(0, 0, 1, 0, _ENDLESS, 0)]], batch, data.indices[:1])
        noise = noise_of_inputs(len(plan.record.inputs), SIGMA, SEED, available_threads())
        self._step = step = DeviceStep(queue, program, noise, plan.record, 1, max_pieces())
        with queue.entered(), torch.inference_mode():
            queue.write(step.images, data.images[:1])
            labels = queue.zeros((batch,), np.int32)
            self._noises = batch_noises(queue, noise, program.inputs, step.images)
            self._restart()
            self._network = queue.repeatable(self._run_network)
            self._noise = queue.repeatable(lambda: _repeat(self._fill_inputs, _SMALL_STEPS))
            self._votes = queue.repeatable(
                lambda: _repeat(lambda: enqueue_votes(queue, step.row_map, labels, batch, step.counts), _SMALL_STEPS)
            )

    def measure(self, samples: int) -> Parts:
        """Return the times of the parts, taken in turn so that a change of the clock meets all of them.

        Raises:
            CheckError: The captured step counts other labels than the network gives to the same rows.
        """
        self._check()
        works = {
            "step": (lambda: _repeat(self._step.repeat, _STEPS), _STEPS),
            "network": (lambda: _repeat(self._network, _STEPS), _STEPS),
            "noise": (self._noise, _SMALL_STEPS),
            "votes": (self._votes, _SMALL_STEPS),
        }
        times: dict[str, list[float]] = {name: [] for name in works}
        for _ in range(_WARM_UPS + samples):
            self._restart()
            for name, (enqueue, steps) in works.items():
                times[name].append(device_seconds(self._queue, enqueue) / steps)
        return Parts(**{name: spread(seconds[_WARM_UPS:]) for name, seconds in times.items()})

    def _fill_inputs(self) -> None:
        for noise in self._noises:
            noise.enqueue(self._step.row_map)

    def _run_network(self) -> None:
        self._compiled.run()

    def _restart(self) -> None:
        """Let the map begin again at its first draw, with no votes counted."""
        with self._queue.entered(), torch.inference_mode():
            words = self._row_map.view(np.int32)
            self._queue.write(self._step.row_map.part(0, len(words)), words)
            self._queue.clear(self._step.counts)

    def _check(self) -> None:
        with self._queue.entered(), torch.inference_mode():
            self._restart()
            self._step.repeat()
            counted = self._queue.download(self._step.counts.part(0, 1))[0]
            self._restart()
            self._noise()
            labels = self._compiled.run()[0].cpu().numpy()
        classes = len(counted) - EXTRA_COUNTS
        expected = np.bincount(np.where(labels == -1, classes, labels), minlength=len(counted))
        if not np.array_equal(counted, expected):
            raise CheckError(f"expected the votes {expected.tolist()} of the network alone, got {counted.tolist()}")


def _repeat(enqueue: Callable[[], object], times: int) -> None:
    for _ in range(times):
        enqueue()
