"""The batch kernels of a device, called on its arrays: noise into a graph's input, labels into counts."""

from collections.abc import Sequence
from typing import final

import numpy as np

from purecert.engine.backends.device.array import DeviceArray
from purecert.engine.backends.device.queue import DeviceQueue
from purecert.engine.errors import BackendError
from purecert.engine.noise.inputs import InputNoise
from purecert.engine.noise.table import NoiseTable

EXTRA_COUNTS = 2  # beside the classes: rows without a finite logit, and labels that are no class


@final
class DeviceTable:
    """A noise table in a device's memory."""

    def __init__(self, table: NoiseTable, queue: DeviceQueue) -> None:
        from purecert._kernels import ThresholdTable

        parts = ThresholdTable(table.thresholds).parts()
        # PyTorch has few unsigned types: the same bytes under signed ones.
        self._parts = tuple(queue.upload(part.view(f"i{part.itemsize}")) for part in parts)
        self.thresholds = len(parts[0])

    @property
    def addresses(self) -> tuple[int, int, int]:
        """Return where the thresholds, their tops and the guide lie."""
        full, top, guide = (part.address for part in self._parts)
        return full, top, guide


@final
class BatchNoise:
    """Writes the noisy rows of the next batch into one input of the graph."""

    def __init__(self, queue: DeviceQueue, noise: InputNoise, rows: DeviceArray, images: DeviceArray) -> None:
        """Prepare to write ``rows`` [batch, C, H, W] (NCHW or channels-last) or [batch, k, C, H, W].

        ``images`` is uint8 [slots, C, H, W] on the same device; only the noise of purpose 0 is added to it.
        """
        self._queue, self._noise, self._rows, self._images = queue, noise, rows, images
        self._table = DeviceTable(noise.table, queue)
        elements = int(np.prod(rows.shape[1:]))
        channels = rows.shape[1] if rows.channels_last else 1
        self._shape = (rows.shape[0], channels, elements // channels)

    def enqueue(self, row_map: DeviceArray) -> None:
        """Enqueue the noise of the batch that comes next in ``row_map``."""
        self._queue.kernels.fill_batch(
            table=self._table.addresses,
            thresholds=self._table.thresholds,
            map=row_map.address,
            images=self._images.address if self._noise.purpose == 0 else 0,
            seed=self._noise.seed,
            purpose=self._noise.purpose,
            shape=self._shape,
            channels_last=self._rows.channels_last,
            element=self._rows.dtype.name,
            out=self._rows.address,
            stream=self._queue.handle,
        )


def enqueue_votes(
    queue: DeviceQueue, row_map: DeviceArray, labels: DeviceArray, batch: int, counts: DeviceArray
) -> None:
    """Enqueue the votes of the batch that comes next in ``row_map``, and the map's step to the batch after it.

    Args:
        queue: The device's queue.
        row_map: int32 [pieces + 1, 8], as ``row_map.row_map`` gives it.
        labels: int32 [batch], one a row.
        batch: Rows of a batch, by which the noise numbers them too.
        counts: int32 [segments, classes + EXTRA_COUNTS], to which the votes are added.

    Raises:
        BackendError: The labels are not what they should be; votes must not be read from elsewhere.
    """
    if labels.dtype != np.int32 or labels.shape != (batch,):
        raise BackendError(f"expected int32 labels [{batch}], got {labels.dtype} {list(labels.shape)}; export again")
    queue.kernels.count_votes(
        map=row_map.address,
        labels=labels.address,
        rows=batch,
        classes=counts.shape[1] - EXTRA_COUNTS,
        counts=counts.address,
        stream=queue.handle,
    )


def batch_noises(
    queue: DeviceQueue, noise: Sequence[InputNoise], inputs: Sequence[DeviceArray], images: DeviceArray
) -> list[BatchNoise]:
    """Return what fills each of the graph's ``inputs``, in their order."""
    return [BatchNoise(queue, one, rows, images) for one, rows in zip(noise, inputs, strict=True)]
