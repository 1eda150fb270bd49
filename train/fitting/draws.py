"""The random numbers of one training step, the same however many processes share the batch."""

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from purecert.train.shapes import Image, Labels


@final
class Draws:
    """Random numbers for the rows of one batch.

    They are drawn for the whole batch, of which each process keeps its own rows: noise belongs to the sample.
    """

    def __init__(self, seed: int, batch: int, rows: slice | None = None) -> None:
        """Begin at ``seed`` for ``batch`` rows in all; ``rows`` are those of this process (None: all)."""
        self._generator = torch.Generator().manual_seed(seed)
        self._batch, self._rows = batch, rows or slice(None)

    def normal(self, *shape: int) -> Tensor:
        """Return standard normal numbers [rows, *shape], FP32."""
        return torch.randn(self._batch, *shape, generator=self._generator)[self._rows]

    def uniform(self, *shape: int) -> Tensor:
        """Return uniform numbers in [0, 1) [rows, *shape], FP32."""
        return torch.rand(self._batch, *shape, generator=self._generator)[self._rows]

    def category(self, weights: Tensor) -> Tensor:
        """Return for each row an index into ``weights`` [k], with a probability in proportion to its weight; int64."""
        drawn = torch.multinomial(weights, self._batch, replacement=True, generator=self._generator)
        return drawn[self._rows]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Batch:
    """What an objective is computed on."""

    images: Image  # on the [-1, 1] scale
    labels: Labels
    step: int  # of the training, from 0
    draws: Draws
