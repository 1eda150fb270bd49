"""Consistency distillation: a consistency model from a teacher's probability-flow ODE (Song et al. 2023)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor, nn

from purecert.train.distances.pixels import Distance
from purecert.train.fitting.draws import Batch
from purecert.train.objectives.objective import Objective, per_image
from purecert.train.purifiers.karras import KarrasConfig, denoise_each
from purecert.train.shapes import Image, Times
from purecert.train.strict.frozen import check_frozen


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class DistillationObjective(Objective):
    """The distance between a student's answers at two ends of one ODE step, the lower one by its moving average."""

    network: nn.Module  # the student; it starts from the teacher's weights
    target: nn.Module  # follows the student; ``frozen_copy`` of it at the start
    teacher: nn.Module  # F of an EDM denoiser
    config: KarrasConfig  # of all three
    distance: Distance
    points: int = 18  # N, of the grid: 18 for CIFAR-10, 40 for ImageNet at 64 pixels
    decay: float = 0.95  # mu: what the target keeps of itself in a step

    def __post_init__(self) -> None:
        if self.points < 2 or not 0 <= self.decay < 1:
            raise ValueError(f"expected points >= 2 and decay in [0, 1), got {self.points} and {self.decay}")
        check_frozen(self.teacher, "the teacher")
        check_frozen(self.target, "the target")

    def __call__(self, batch: Batch) -> Tensor:
        grid = self.config.levels.ascending_grid(self.points).to(batch.images.device)
        interval = batch.draws.category(torch.ones(self.points - 1))
        noise = batch.draws.normal(*batch.images.shape[1:])
        high, low = grid[interval + 1], grid[interval]
        noisy = batch.images + per_image(high, batch.images) * noise
        return distillation_loss(self.network, self.target, self.teacher, self.config, noisy, high, low, self.distance)

    def after_step(self, step: int) -> None:
        follow(self.target, self.network, self.decay)

    def kept(self) -> Mapping[str, nn.Module]:
        return {"target": self.target}


def distillation_loss(
    network: nn.Module,
    target: nn.Module,
    teacher: nn.Module,
    config: KarrasConfig,
    noisy: Image,
    high: Times,
    low: Times,
    distance: Distance,
) -> Tensor:
    """Return the mean of d(D(x_high, high), D-(x_low, low)), x_low by one teacher step (Song et al. 2023, eq. 7).

    Their weight lambda is 1. No gradient reaches the target's D- nor the teacher.

    Args:
        network: F of the student's D, a consistency function.
        target: F of D-.
        teacher: F of the EDM denoiser whose ODE is followed.
        config: The parametrisation of all three.
        noisy: x_high = x + high z on the [-1, 1] scale.
        high: Grid times of the images.
        low: Their lower neighbours.
        distance: d.
    """
    with torch.no_grad():
        wanted = denoise_each(target, config, heun_step(teacher, config, noisy, high, low), low)
    return distance(denoise_each(network, config, noisy, high), wanted).mean()


def heun_step(teacher: nn.Module, config: KarrasConfig, noisy: Image, high: Times, low: Times) -> Image:
    """Return ``noisy`` moved from ``high`` to ``low`` along dx/dt = (x - D(x; t)) / t (Karras et al. 2022, alg. 1).

    One step of Heun's method for each image, D the teacher's denoiser (t_min 0); times > 0 on the [-1, 1] scale.
    """
    step = per_image(low - high, noisy)
    slope = _slope(teacher, config, noisy, high)
    ahead = _slope(teacher, config, noisy + step * slope, low)
    return noisy + step / 2 * (slope + ahead)


def _slope(teacher: nn.Module, config: KarrasConfig, x: Image, times: Times) -> Image:
    return (x - denoise_each(teacher, config, x, times, t_min=0.0)) / per_image(times, x)


@torch.no_grad()
def follow(target: nn.Module, network: nn.Module, decay: float) -> None:
    """Set the target's parameters to decay x itself + (1 - decay) x network; buffers become the network's."""
    for average, parameter in zip(target.parameters(), network.parameters(), strict=True):
        average.lerp_(parameter.detach(), 1 - decay)
    for mine, buffer in zip(target.buffers(), network.buffers(), strict=True):
        mine.copy_(buffer)
