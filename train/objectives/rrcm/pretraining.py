"""Contrastive denoising: rRCM's pre-training, which needs no labels (Lei et al. 2025, arXiv 2501.13094)."""

import copy
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias, final

import torch
from torch import Tensor, nn

from purecert.train.fitting.draws import Batch, Draws
from purecert.train.fitting.processes.group import Processes
from purecert.train.networks.rrcm.vit import RrcmVit
from purecert.train.objectives.objective import Objective
from purecert.train.objectives.rrcm.contrast import TEMPERATURE, consistency_term, contrastive_term
from purecert.train.schedules.noise_levels import NoiseRange
from purecert.train.schedules.rrcm import CeilingCurriculum, SigmoidDecay
from purecert.train.shapes import Image

# Makes of a batch its plain view x and two augmentations a and b.
Views: TypeAlias = Callable[[Image, Draws], tuple[Image, Image, Image]]


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class RrcmPretrainingObjective(Objective):
    """Two contrastive terms at the lowest noise level and a consistency term, all with the same noise z.

    L = NCE(p(a + t0 z), p_T(b + t0 z)) + NCE(p(b + t0 z), p_T(a + t0 z)) + NCE(c(x + t z), sg c(x + t' z)), where t
    and t' are neighbours of the grid, the same pair for the whole batch, and T follows the trained network. Equal
    weights, as in the official code. T is in train mode: its batch norms use the batch, and follow it on their own.
    """

    network: RrcmVit
    target: RrcmVit  # T: ``following_copy`` of the network at the start
    views: Views
    curriculum: CeilingCurriculum
    decay: SigmoidDecay
    levels: NoiseRange = field(default_factory=NoiseRange)
    temperature: float = TEMPERATURE
    processes: Processes = field(default_factory=Processes)  # that share the batch

    def __post_init__(self) -> None:
        if not 0 < self.temperature < math.inf:
            raise ValueError(f"temperature must be finite and > 0, got {self.temperature}")
        if any(p.requires_grad for p in self.target.parameters()) or not all(m.training for m in self.target.modules()):
            raise ValueError("the target must ask for no gradient and be in train mode: make it by following_copy")

    def __call__(self, batch: Batch) -> Tensor:
        grid = self.levels.grid(self.curriculum.points(batch.step))
        index = batch.draws.shared_integer(len(grid) - 1)
        plain, first, second = self.views(batch.images, batch.draws)
        noise = batch.draws.normal(*plain.shape[1:])
        shared = (self.processes.gather, self.temperature)
        project, target = self.network.project, self.target.project
        contrast = contrastive_term(project, target, (first, second), noise, grid[-1], *shared)
        contrast = contrast + contrastive_term(project, target, (second, first), noise, grid[-1], *shared)
        high, low = grid[index], grid[index + 1]
        return contrast + consistency_term(self.network.represent, plain, noise, high, low, *shared)

    def after_step(self, step: int) -> None:
        follow_weights(self.target, self.network, self.decay.decay(step))

    def kept(self) -> Mapping[str, nn.Module]:
        return {"target": self.target}


def following_copy(network: RrcmVit) -> RrcmVit:
    """Return a copy that no gradient reaches, in train mode, for the objective to move."""
    return copy.deepcopy(network).requires_grad_(False).train()


@torch.no_grad()
def follow_weights(target: nn.Module, network: nn.Module, decay: float) -> None:
    """Set the target's parameters to decay x itself + (1 - decay) x network; buffers stay its own."""
    for average, parameter in zip(target.parameters(), network.parameters(), strict=True):
        average.lerp_(parameter.detach(), 1 - decay)
