"""Keeps the weights that a measure likes best on the way of a training, beside those that it ends with."""

import copy
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias, final

import torch
from torch import Tensor, nn

from purecert.train.fitting.data import Images
from purecert.train.fitting.draws import Batch, step_seed
from purecert.train.networks.conditioned import SigmaClassifier
from purecert.train.objectives.objective import Objective

Measure: TypeAlias = Callable[[], float]  # of the trained module as it is; the larger, the better

_ROWS = 250  # that are classified at once


@final
class BestWeights(nn.Module):
    """A copy of a module as it was when its measure was largest, and how large; it moves with a training's state."""

    value: Tensor

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = copy.deepcopy(module).requires_grad_(False)
        self.register_buffer("value", torch.tensor(-math.inf, dtype=torch.float64))

    @torch.no_grad()
    def offer(self, module: nn.Module, value: float) -> None:
        """Take the weights of ``module`` if ``value`` is above all before it; NaN is not."""
        if value > float(self.value):
            self.module.load_state_dict(module.state_dict())
            self.value.fill_(value)


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class BestWeightsObjective(Objective):
    """An objective whose trained module is measured every so many steps, and at the last one."""

    objective: Objective
    trained: nn.Module
    best: BestWeights
    measure: Measure
    every: int  # steps
    steps: int  # of the training

    def __post_init__(self) -> None:
        if min(self.every, self.steps) < 1:
            raise ValueError(f"every and steps must be at least 1, got {self.every} and {self.steps}")

    def __call__(self, batch: Batch) -> Tensor:
        return self.objective(batch)

    def after_step(self, step: int) -> None:
        self.objective.after_step(step)
        done = step + 1
        if done % self.every == 0 or done == self.steps:
            self.best.offer(self.trained, self.measure())

    def kept(self) -> Mapping[str, nn.Module]:
        return {**self.objective.kept(), "best": self.best}


@torch.no_grad()
def noisy_accuracy(classifier: SigmaClassifier, images: Images, sigma: float, seed: int) -> float:
    """Return the share of images that the classifier, in eval mode meanwhile, names rightly in one noisy draw each.

    Args:
        classifier: Asked at ``sigma``; anywhere.
        images: Not those that are trained on, nor those that a certificate will be for.
        sigma: Noise std in [0, 1] pixel units.
        seed: Decides the noise, the same at each call.
    """
    generator = torch.Generator().manual_seed(step_seed(seed, "noisy accuracy", 0))
    device = next(classifier.parameters()).device
    modes = {module: module.training for module in classifier.modules()}
    classifier.eval()
    right = 0
    for first in range(0, len(images.labels), _ROWS):
        pixels, labels = (values[first : first + _ROWS] for values in (images.pixels, images.labels))
        noisy = pixels + 2 * sigma * torch.randn(pixels.shape, generator=generator)
        right += int((classifier(noisy.to(device), sigma).argmax(dim=1).cpu() == labels.cpu()).sum())
    for module, was in modes.items():
        module.training = was
    return right / len(images.labels)
