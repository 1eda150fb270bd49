"""The random numbers of one training step, the same however many processes share the batch."""

import hashlib
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from purecert.train.shapes import Image, Labels

# PyTorch's generator on a CPU begins at the last 32 bits of its seed.
_SEEDS = 2**32
_STRIDE = 0x9E3779B1  # odd, so that no two of 2^32 steps begin alike


def step_seed(seed: int, stage: str, step: int) -> int:
    """Return where the draws of one step begin, in [0, 2^32): another place for every step of a stage."""
    begin = hashlib.sha256(f"purecert.draws/1\n{seed}\n{stage}".encode()).digest()
    return (int.from_bytes(begin[:4], "little") + step * _STRIDE) % _SEEDS


@final
class Draws:
    """Random numbers for the rows of one batch.

    They are drawn for the whole batch, of which each process keeps its own rows: noise belongs to the sample. They are
    drawn on the CPU and brought to ``device``, so that every device sees the same numbers.
    """

    def __init__(self, seed: int, batch: int, rows: slice | None = None, device: torch.device | None = None) -> None:
        """Begin at ``seed`` for ``batch`` rows in all; ``rows`` are those of this process (None: all)."""
        self._generator = torch.Generator().manual_seed(seed)
        self._batch, self._rows = batch, rows or slice(None)
        self._device = device or torch.device("cpu")

    def normal(self, *shape: int) -> Tensor:
        """Return standard normal numbers [rows, *shape], FP32."""
        return self._own(torch.randn(self._batch, *shape, generator=self._generator))

    def uniform(self, *shape: int) -> Tensor:
        """Return uniform numbers in [0, 1) [rows, *shape], FP32."""
        return self._own(torch.rand(self._batch, *shape, generator=self._generator))

    def integer(self, below: int, *shape: int) -> Tensor:
        """Return integers of [0, below), all as likely, [rows, *shape], int64."""
        return self._own(torch.randint(below, (self._batch, *shape), generator=self._generator))

    def shared_integer(self, below: int) -> int:
        """Return one integer of [0, below) for the whole batch, the same in every process."""
        return int(torch.randint(below, (), generator=self._generator))

    def category(self, weights: Tensor) -> Tensor:
        """Return for each row an index into ``weights`` [k], with a probability in proportion to its weight; int64."""
        drawn = torch.multinomial(weights.cpu(), self._batch, replacement=True, generator=self._generator)
        return self._own(drawn)

    def _own(self, drawn: Tensor) -> Tensor:
        return drawn[self._rows].to(self._device)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Batch:
    """What an objective is computed on."""

    images: Image  # on the [-1, 1] scale
    labels: Labels
    step: int  # of the training, from 0
    draws: Draws
