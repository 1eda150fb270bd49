"""A tensor as an array of a device."""

from typing import Any, final

import numpy as np
import torch
from torch import Tensor

from purecert.engine.backends.device.array import DeviceArray

_NUMPY: dict[torch.dtype, np.dtype[Any]] = {
    torch.uint8: np.dtype(np.uint8),
    torch.int16: np.dtype(np.int16),
    torch.int32: np.dtype(np.int32),
    torch.int64: np.dtype(np.int64),
    torch.float16: np.dtype(np.float16),
    torch.float32: np.dtype(np.float32),
}
_TORCH = {numpy: own for own, numpy in _NUMPY.items()}


@final
class TorchArray(DeviceArray):
    """A tensor in NCHW or channels-last."""

    def __init__(self, tensor: Tensor) -> None:
        """Take ``tensor`` as it lies.

        Raises:
            ValueError: It is laid out in neither way, or holds what no kernel reads.
        """
        if tensor.dtype not in _NUMPY:
            raise ValueError(f"expected a tensor of {[str(own) for own in _NUMPY]}, got {tensor.dtype}")
        self.tensor = tensor
        self._channels_last = not tensor.is_contiguous()
        if self._channels_last and not (tensor.dim() == 4 and tensor.is_contiguous(memory_format=torch.channels_last)):
            raise ValueError(f"expected rows in NCHW or channels-last, got strides {tensor.stride()}")

    @property
    def address(self) -> int:
        return self.tensor.data_ptr()

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.tensor.shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        dtype: np.dtype[Any] = _NUMPY[self.tensor.dtype]
        return dtype

    @property
    def channels_last(self) -> bool:
        return self._channels_last

    def part(self, first: int, count: int) -> "TorchArray":
        return TorchArray(self.tensor[first : first + count])


def torch_dtype(dtype: np.dtype[Any]) -> torch.dtype:
    """Return PyTorch's name of ``dtype``.

    Raises:
        ValueError: It is none that kernels read.
    """
    if dtype not in _TORCH:
        raise ValueError(f"expected one of {[str(own) for own in _TORCH]}, got {dtype}")
    return _TORCH[dtype]
