"""Consistency training: the equations and the loss of one batch (Song and Dhariwal 2023)."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from purecert.train.fitting.draws import Batch
from purecert.train.purifiers.karras import KarrasConfig, denoise_each
from purecert.train.schedules.noise_levels import Curriculum, LognormalTimes
from purecert.train.shapes import Image, PerImage, Times


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ConsistencyObjective:
    """The loss of consistency training on one batch, its grid refined as training goes on."""

    network: nn.Module
    config: KarrasConfig
    times: LognormalTimes
    curriculum: Curriculum

    def __call__(self, batch: Batch) -> Tensor:
        grid = self.config.levels.ascending_grid(self.curriculum.points(batch.step)).to(batch.images.device)
        interval = batch.draws.category(self.times.weights(grid))
        noise = batch.draws.normal(*batch.images.shape[1:])
        return consistency_loss(self.network, self.config, batch.images, noise, grid[interval + 1], grid[interval])


def huber_scale(dimensions: int) -> float:
    """Return the width of the pseudo-Huber metric for images of so many values (Song and Dhariwal 2023, sec. 3.3)."""
    return 0.00054 * math.sqrt(dimensions)


def pseudo_huber(a: Image, b: Image, width: float) -> PerImage:
    """Return sqrt(|a - b|^2 + width^2) - width for each image of the batch (Song and Dhariwal 2023, eq. 8)."""
    squared = (a - b).square().flatten(1).sum(dim=1)
    return torch.sqrt(squared + width**2) - width


def consistency_loss(
    network: nn.Module, config: KarrasConfig, clean: Image, noise: Image, high: Times, low: Times
) -> Tensor:
    """Return the loss that pulls D(x + high z, high) to D(x + low z, low) (Song and Dhariwal 2023, eqs. 3 and 7).

    The target is the network itself without gradient, and each pair is weighted by 1 / (high - low).

    Args:
        network: F of the parametrisation.
        config: Its parametrisation.
        clean: Images x on the [-1, 1] scale.
        noise: Standard normal z, shared by both sides.
        high: The later times.
        low: The grid neighbours below them.
    """
    with torch.no_grad():
        target = denoise_each(network, config, clean + _per_image(low, clean) * noise, low)
    moved = denoise_each(network, config, clean + _per_image(high, clean) * noise, high)
    distance = pseudo_huber(moved, target, huber_scale(clean[0].numel()))
    return (distance / (high - low).to(distance.dtype)).mean()


def _per_image(times: Times, images: Image) -> Tensor:
    return times.to(images.dtype)[:, None, None, None]
