"""An array in a device's memory, by its address: what kernels and runtimes of every kind agree on."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, final

import numpy as np


class DeviceArray(ABC):
    """Memory of a device at a fixed address, contiguous in its layout."""

    @property
    @abstractmethod
    def address(self) -> int:
        """Return where the first value lies."""

    @property
    @abstractmethod
    def shape(self) -> tuple[int, ...]:
        """Return the lengths of the axes, as a network sees them."""

    @property
    @abstractmethod
    def dtype(self) -> np.dtype[Any]:
        """Return the type of the values."""

    @property
    @abstractmethod
    def channels_last(self) -> bool:
        """Whether the memory of rows [C, H, W] is ordered [H, W, C]."""

    @abstractmethod
    def part(self, first: int, count: int) -> DeviceArray:
        """Return the entries ``first`` to ``first + count`` of the first axis, in the same memory."""

    @property
    def nbytes(self) -> int:
        """Return the bytes that the array takes."""
        return math.prod(self.shape) * self.dtype.itemsize


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class RawArray(DeviceArray):
    """A C-contiguous array at an address of a driver's; ``owner`` keeps the memory from being freed."""

    address: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    owner: Any

    @property
    def channels_last(self) -> bool:
        return False

    def part(self, first: int, count: int) -> RawArray:
        if not 0 <= first <= first + count <= self.shape[0]:
            raise ValueError(f"expected entries within {self.shape[0]}, got {first} to {first + count}")
        step = math.prod(self.shape[1:]) * self.dtype.itemsize
        shape = (count, *self.shape[1:])
        return RawArray(address=self.address + first * step, shape=shape, dtype=self.dtype, owner=self.owner)
