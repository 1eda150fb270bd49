"""Batches of noisy rows from a device's kernels, and the same rows and votes from the CPU's kernel and NumPy."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
import torch
from numpy.typing import NDArray

from purecert.engine.backends.device.kernels import EXTRA_COUNTS, BatchNoise, enqueue_votes
from purecert.engine.backends.device.row_map import row_map
from purecert.engine.backends.packing import Piece
from purecert.engine.backends.torch.array import TorchArray
from purecert.engine.backends.torch.queue import TorchQueue
from purecert.engine.noise.inputs import InputNoise

Rows = NDArray[np.generic]
Batches = Sequence[Sequence[Piece]]


@dataclass(frozen=True, kw_only=True, slots=True)
class BatchShape:
    """What a graph's input looks like."""

    rows: int
    row: tuple[int, ...]  # (channels, height, width), or (k, channels, height, width) of an extra input
    dtype: torch.dtype
    channels_last: bool = False

    @property
    def is_image(self) -> bool:
        """Whether an image is under the noise."""
        return len(self.row) == 3

    def __str__(self) -> str:
        layout = "channels-last" if self.channels_last else "NCHW"
        return f"{self.rows} x {' x '.join(map(str, self.row))} {str(self.dtype).removeprefix('torch.')} {layout}"


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Images:
    """What lies in the slots."""

    pixels: NDArray[np.uint8]  # [slots, channels, height, width]
    indices: NDArray[np.int64]  # in the data set: they address the noise


@final
class NoisyBatch:
    """A graph's input on the device; every batch is written over NaN.

    Tensors are only copied to and from the device, so that a sanitizer sees no kernels but ours.
    """

    def __init__(self, queue: TorchQueue, shape: BatchShape, noise: InputNoise, images: Images) -> None:
        self._queue, self._shape, self._images = queue, shape, images
        layout = torch.channels_last if shape.channels_last else torch.contiguous_format
        self._poison = torch.full((shape.rows, *shape.row), torch.nan, dtype=shape.dtype).contiguous(
            memory_format=layout
        )
        with queue.entered():
            self.rows = self._poison.to(queue.device)
            self._pixels = torch.from_numpy(images.pixels).to(queue.device)
            self._noise = BatchNoise(queue, noise, TorchArray(self.rows), TorchArray(self._pixels))

    def fill(self, batches: Batches) -> list[Rows]:
        """Return the rows of each batch, [rows, ...] in C order."""
        labels = np.zeros((len(batches), self._shape.rows), np.int32)
        return self.fill_and_count(batches, labels, segments=_segments(batches), classes=1)[0]

    def fill_and_count(
        self, batches: Batches, labels: NDArray[np.int32], *, segments: int, classes: int
    ) -> tuple[list[Rows], NDArray[np.int64]]:
        """Return the rows of each batch, and the votes of ``labels`` [batches, rows]: [segments, classes + 2]."""
        queue, found = self._queue, []
        with queue.entered():
            words = row_map(batches, self._shape.rows, self._images.indices).view(np.int32)
            on_device = queue.upload(words)
            counts = queue.upload(np.zeros((segments, classes + EXTRA_COUNTS), np.int32))
            for batch_labels in torch.from_numpy(labels):
                self.rows.copy_(self._poison)
                self._noise.enqueue(on_device)
                votes = TorchArray(batch_labels.to(queue.device))
                enqueue_votes(queue, on_device, votes, self._shape.rows, counts)
                found.append(self.rows.cpu().contiguous().numpy().copy())
            return found, counts.tensor.cpu().numpy().astype(np.int64)

    def expected(self, batch: Sequence[Piece], noise: InputNoise) -> Rows:
        """Return what the CPU's kernel writes for one batch; padding is zero."""
        return expected_rows(self._shape, self._images, batch, noise)


def expected_rows(shape: BatchShape, images: Images, batch: Sequence[Piece], noise: InputNoise) -> Rows:
    """Return what the CPU's kernel writes for one batch of ``shape``; padding is zero."""
    rows = np.zeros((shape.rows, *shape.row), str(shape.dtype).removeprefix("torch."))
    for piece in batch:
        address = (piece.slot, images.indices[piece.slot], piece.phase, piece.first, piece.count)
        part = rows[piece.row : piece.row + piece.count]
        noise.fill(part, np.array([address], np.int64), images.pixels)
    return rows


def expected_votes(batches: Batches, labels: NDArray[np.int32], *, segments: int, classes: int) -> NDArray[np.int64]:
    """Return the votes as NumPy counts them: the classes, label -1, labels that are no class."""
    counts = np.zeros((segments, classes + EXTRA_COUNTS), np.int64)
    for batch, batch_labels in zip(batches, labels, strict=True):
        for piece in batch:
            chosen = batch_labels[piece.row : piece.row + piece.count].astype(np.int64)
            columns = np.where(chosen == -1, classes, np.where((chosen < 0) | (chosen >= classes), classes + 1, chosen))
            counts[piece.segment] += np.bincount(columns, minlength=classes + EXTRA_COUNTS)
    return counts


def _segments(batches: Batches) -> int:
    return 1 + max(piece.segment for batch in batches for piece in batch)
