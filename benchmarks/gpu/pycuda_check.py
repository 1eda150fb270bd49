"""Whether noise and votes that pycuda's queue captures and launches again are the CPU's.

TensorRT and ONNX Runtime run on that queue. PyTorch, whose queue the other steps check, enqueues nothing here.
"""

import sys
from contextlib import closing
from typing import Any, final

import click
import numpy as np
import torch
from gpu.backend import SKIPPED
from gpu.noisy_batch import Batches, BatchShape, Images, expected_rows, expected_votes
from gpu.record import print_table, write_record
from gpu.setting import SEED, SIGMA, read_setting
from numpy.typing import NDArray

from purecert.engine.backends.base import Segment
from purecert.engine.backends.device.kernels import EXTRA_COUNTS, BatchNoise, enqueue_votes
from purecert.engine.backends.device.pycuda_queue import PycudaQueue
from purecert.engine.backends.device.queue import DeviceQueue
from purecert.engine.backends.device.row_map import row_map
from purecert.engine.backends.packing import packed_batches, static_batches
from purecert.engine.commands.console import EngineCommand
from purecert.engine.errors import BackendError, CheckError
from purecert.engine.hardware import available_threads
from purecert.engine.noise.inputs import InputNoise
from purecert.engine.noise.table import smoothing_noise

_CLASSES = 10
_SLOTS = 3
_PLACED = {"packed": packed_batches, "static": static_batches}


@click.command(cls=EngineCommand)
def main() -> None:
    """Capture one batch's noise and votes, launch that for every batch of two submissions, and compare."""
    setting = read_setting()
    try:
        queue = PycudaQueue()
    except BackendError as error:
        write_record(setting, "pycuda-check", {"skipped": str(error)})
        sys.exit(SKIPPED)
    with closing(queue):
        equal = check_capture(queue, setting.batch)
        write_record(setting, "pycuda-check", {"skipped": None, "queue": _described(queue), "equal": equal})
    print_table(("placement", "batches launched", "noise values", "votes"), [tuple(row.values()) for row in equal])


def check_capture(queue: DeviceQueue, rows: int) -> list[dict[str, Any]]:
    """Return what was equal, for each way to place draws in batches of ``rows``.

    Raises:
        CheckError: A value or a vote is not the CPU's.
    """
    shape = BatchShape(rows=rows, row=(3, 32, 32), dtype=torch.float16)
    random = np.random.default_rng(SEED)
    pixels = random.integers(0, 256, (_SLOTS, *shape.row), np.uint8)
    images = Images(pixels=pixels, indices=np.array([0, 7, 2**32 - 1]))
    segments = [Segment(slot=slot, phase=slot % 2, first=slot * 3, count=rows + slot) for slot in range(_SLOTS)]
    submissions = {name: list(placed(segments, rows)) for name, placed in _PLACED.items()}
    step = _CapturedNoise(queue, shape, images, max(map(_pieces, submissions.values())))
    return [{"placement": name} | step.check(batches, random) for name, batches in submissions.items()]


@final
class _CapturedNoise:
    """Noise and votes of one batch, captured."""

    def __init__(self, queue: DeviceQueue, shape: BatchShape, images: Images, pieces: int) -> None:
        self._queue, self._shape, self._images = queue, shape, images
        self._noise = InputNoise(table=smoothing_noise(SIGMA), seed=SEED, purpose=0, threads=available_threads())
        with queue.entered():
            self._rows = queue.zeros((shape.rows, *shape.row), np.float16)
            self._labels = queue.zeros((shape.rows,), np.int32)
            self._counts = queue.zeros((_SLOTS, _CLASSES + EXTRA_COUNTS), np.int32)
            self._map = queue.zeros((1 + pieces, 8), np.int32)
            self._fill = BatchNoise(queue, self._noise, self._rows, queue.upload(images.pixels))
        self._launch = queue.repeatable(self._enqueue)

    def check(self, batches: Batches, random: np.random.Generator) -> dict[str, int]:
        """Return how many batches, noise values and votes were compared; all of them are the CPU's."""
        queue = self._queue
        labels = random.integers(-1, _CLASSES, (len(batches), self._shape.rows), np.int32)
        words = row_map(batches, self._shape.rows, self._images.indices).view(np.int32)
        self._write(self._map.part(0, len(words)), words)
        with queue.entered():
            queue.clear(self._counts)
        for batch, batch_labels in zip(batches, labels, strict=True):
            self._write(self._labels, batch_labels)
            with queue.entered():
                self._launch()
            expected = expected_rows(self._shape, self._images, batch, self._noise)
            _require(np.array_equal(queue.download(self._rows), expected), "the CPU's rows")
        votes = queue.download(self._counts)
        expected_counts = expected_votes(batches, labels, segments=_SLOTS, classes=_CLASSES)
        _require(np.array_equal(votes, expected_counts), "NumPy's votes")
        values = len(batches) * int(np.prod(self._rows.shape))
        return {"batches": len(batches), "noise_values": values, "votes": int(votes.sum())}

    def _enqueue(self) -> None:
        self._fill.enqueue(self._map)
        enqueue_votes(self._queue, self._map, self._labels, self._shape.rows, self._counts)

    def _write(self, target: Any, source: NDArray[np.int32]) -> None:
        staged = self._queue.host_buffer(source.shape, source.dtype)
        np.copyto(staged, source)
        with self._queue.entered():
            self._queue.write(target, staged)
        self._queue.mark()()


def _described(queue: PycudaQueue) -> dict[str, Any]:
    return {"hardware": queue.hardware(), "versions": queue.versions()}


def _pieces(batches: Batches) -> int:
    return sum(map(len, batches))


def _require(claim: object, expected: str) -> None:
    if not claim:
        raise CheckError(f"expected {expected} from what pycuda's queue captured, got others; report this as a fault")


if __name__ == "__main__":
    main()
