"""The batch kernels of a device, called on tensors: noise into a graph's input, labels into counts."""

from collections.abc import Sequence
from types import ModuleType
from typing import final

import torch
from torch import Tensor

from purecert.engine.errors import BackendError
from purecert.engine.noise_inputs import InputNoise
from purecert.engine.noise_table import NoiseTable

EXTRA_COUNTS = 2  # beside the classes: rows without a finite logit, and labels that are no class

_ELEMENTS = {torch.float16: "float16", torch.float32: "float32"}


def load_kernels(device: torch.device) -> ModuleType:
    """Return the build of the batch kernels for ``device``.

    Raises:
        BackendError: purecert was built without it.
    """
    try:
        if device.type == "cuda":
            import purecert._cuda as cuda_kernels

            return cuda_kernels
        import purecert._kernels as host_kernels

        return host_kernels
    except ImportError as error:
        remedy = "with PURECERT_CUDA=on where nvcc is on the path" if device.type == "cuda" else "with a C++17 compiler"
        raise BackendError(
            f"purecert was built without its kernels for {device.type} ({error}); reinstall it {remedy}"
        ) from error


@final
class DeviceTable:
    """A noise table in a device's memory."""

    def __init__(self, table: NoiseTable, device: torch.device) -> None:
        from purecert._kernels import ThresholdTable

        parts = ThresholdTable(table.thresholds).parts()
        # torch has few unsigned types: the same bytes under signed ones.
        views = [part.view(f"i{part.itemsize}") for part in parts]
        self._tensors = tuple(torch.from_numpy(view.copy()).to(device) for view in views)
        self.thresholds = len(parts[0])

    @property
    def addresses(self) -> tuple[int, int, int]:
        """Return where the thresholds, their tops and the guide lie."""
        full, top, guide = (tensor.data_ptr() for tensor in self._tensors)
        return full, top, guide


@final
class BatchNoise:
    """Writes the noisy rows of the next batch into one input of the graph."""

    def __init__(self, kernels: ModuleType, noise: InputNoise, rows: Tensor, images: Tensor) -> None:
        """Prepare to write ``rows`` [batch, C, H, W] (NCHW or channels-last) or [batch, k, C, H, W].

        ``images`` is uint8 [slots, C, H, W] on the same device; only the noise of purpose 0 is added to it.
        """
        self._kernels, self._noise, self._rows, self._images = kernels, noise, rows, images
        self._table = DeviceTable(noise.table, rows.device)
        is_contiguous = rows.is_contiguous()
        if not is_contiguous and not (rows.dim() == 4 and rows.is_contiguous(memory_format=torch.channels_last)):
            raise ValueError(f"expected rows in NCHW or channels-last, got strides {rows.stride()}")
        channels = 1 if is_contiguous else rows.shape[1]
        self._shape = (len(rows), channels, rows[0].numel() // channels)
        self._channels_last = not is_contiguous

    def enqueue(self, row_map: Tensor, stream: int) -> None:
        """Enqueue the noise of the batch that comes next in ``row_map``."""
        self._kernels.fill_batch(
            table=self._table.addresses,
            thresholds=self._table.thresholds,
            map=row_map.data_ptr(),
            images=self._images.data_ptr() if self._noise.purpose == 0 else 0,
            seed=self._noise.seed,
            purpose=self._noise.purpose,
            shape=self._shape,
            channels_last=self._channels_last,
            element=_ELEMENTS[self._rows.dtype],
            out=self._rows.data_ptr(),
            stream=stream,
        )


def enqueue_votes(
    kernels: ModuleType, row_map: Tensor, labels: Tensor, batch: int, counts: Tensor, stream: int
) -> None:
    """Enqueue the votes of the batch that comes next in ``row_map``, and the map's step to the batch after it.

    Args:
        kernels: The device's kernels.
        row_map: int32 [pieces + 1, 8], as ``row_map.row_map`` gives it.
        labels: int32 [batch], one a row.
        batch: Rows of a batch, by which the noise numbers them too.
        counts: int32 [segments, classes + EXTRA_COUNTS], to which the votes are added.
        stream: The device's queue.

    Raises:
        BackendError: The labels are not what they should be; votes must not be read from elsewhere.
    """
    if labels.dtype != torch.int32 or labels.shape != (batch,) or not labels.is_contiguous():
        raise BackendError(f"expected int32 labels [{batch}], got {labels.dtype} {list(labels.shape)}; export again")
    kernels.count_votes(
        map=row_map.data_ptr(),
        labels=labels.data_ptr(),
        rows=batch,
        classes=counts.shape[1] - EXTRA_COUNTS,
        counts=counts.data_ptr(),
        stream=stream,
    )


def batch_noises(
    kernels: ModuleType, noise: Sequence[InputNoise], inputs: Sequence[Tensor], images: Tensor
) -> list[BatchNoise]:
    """Return what fills each of the graph's ``inputs``, in their order."""
    return [BatchNoise(kernels, one, rows, images) for one, rows in zip(noise, inputs, strict=True)]
