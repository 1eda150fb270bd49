"""Consistency training: a consistency model without a teacher (Song and Dhariwal 2023)."""

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor, nn

from purecert.train.distances.pixels import Distance, Huber
from purecert.train.fitting.draws import Batch
from purecert.train.objectives.objective import Objective, per_image
from purecert.train.purifiers.karras import KarrasConfig, denoise_each
from purecert.train.schedules.noise_levels import Curriculum, LognormalTimes
from purecert.train.shapes import Image, Times

PSEUDO_HUBER = Huber()  # of the paper, as wide as the images ask


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ConsistencyObjective(Objective):
    """The loss of consistency training on one batch, its grid refined as training goes on."""

    network: nn.Module
    config: KarrasConfig
    times: LognormalTimes
    curriculum: Curriculum
    distance: Distance = PSEUDO_HUBER

    def __call__(self, batch: Batch) -> Tensor:
        grid = self.config.levels.ascending_grid(self.curriculum.points(batch.step)).to(batch.images.device)
        interval = batch.draws.category(self.times.weights(grid))
        noise = batch.draws.normal(*batch.images.shape[1:])
        high, low = grid[interval + 1], grid[interval]
        return consistency_loss(self.network, self.config, batch.images, noise, high, low, self.distance)


def consistency_loss(
    network: nn.Module,
    config: KarrasConfig,
    clean: Image,
    noise: Image,
    high: Times,
    low: Times,
    distance: Distance = PSEUDO_HUBER,
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
        distance: d; the pseudo-Huber metric in the paper.
    """
    with torch.no_grad():
        target = denoise_each(network, config, clean + per_image(low, clean) * noise, low)
    found = distance(denoise_each(network, config, clean + per_image(high, clean) * noise, high), target)
    return (found / (high - low).to(found)).mean()
