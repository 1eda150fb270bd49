"""Distances between pixels. Each takes two batches on the [-1, 1] scale and gives one number for each pair."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch

from purecert.train.shapes import Image, PerImage

Distance = Callable[[Image, Image], PerImage]


def l2(a: Image, b: Image) -> PerImage:
    """Return the mean squared difference of each pair: the squared l2 distance over the number of values, in [0, 4]."""
    return (a - b).square().flatten(1).mean(dim=1)


def l1(a: Image, b: Image) -> PerImage:
    """Return the mean absolute difference of each pair: the l1 distance over the number of values, in [0, 2]."""
    return (a - b).abs().flatten(1).mean(dim=1)


def pseudo_huber(a: Image, b: Image, width: float) -> PerImage:
    """Return sqrt(|a - b|^2 + width^2) - width for each image of the batch (Song and Dhariwal 2023, eq. 8)."""
    squared = (a - b).square().flatten(1).sum(dim=1)
    return torch.sqrt(squared + width**2) - width


def huber_scale(dimensions: int) -> float:
    """Return the width of the pseudo-Huber metric for images of so many values (Song and Dhariwal 2023, sec. 3.3)."""
    return 0.00054 * math.sqrt(dimensions)


@dataclass(frozen=True, kw_only=True, slots=True)
class Huber:
    """The pseudo-Huber metric as a distance."""

    width: float | None = None  # None: ``huber_scale`` of the images

    def __post_init__(self) -> None:
        if self.width is not None and not self.width > 0:
            raise ValueError(f"width must be > 0, got {self.width}")

    def __call__(self, a: Image, b: Image) -> PerImage:
        """Return the distance of each pair."""
        return pseudo_huber(a, b, self.width or huber_scale(a[0].numel()))
