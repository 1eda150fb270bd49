"""The optimisers that a plan may name, each with its numbers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import nn

from purecert.train.fitting.plans.layers import Group

Trained: TypeAlias = Sequence[Group] | Sequence[nn.Parameter]


@dataclass(frozen=True, kw_only=True, slots=True)
class AdamW:
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019)."""

    betas: tuple[float, float] = (0.9, 0.999)
    epsilon: float = 1e-8
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        _check_moments(self.betas, self.epsilon, self.weight_decay)

    def build(self, parameters: Trained) -> torch.optim.Optimizer:
        """Return the optimiser; the loop sets its rate before each step."""
        return torch.optim.AdamW(parameters, lr=0.0, betas=self.betas, eps=self.epsilon, weight_decay=self.weight_decay)


@dataclass(frozen=True, kw_only=True, slots=True)
class RAdam:
    """Adam whose first steps wait for its variance estimate (Liu et al. 2020); consistency models are trained by it."""

    betas: tuple[float, float] = (0.9, 0.999)
    epsilon: float = 1e-8
    weight_decay: float = 0.0  # decoupled, as AdamW's

    def __post_init__(self) -> None:
        _check_moments(self.betas, self.epsilon, self.weight_decay)

    def build(self, parameters: Trained) -> torch.optim.Optimizer:
        """Return the optimiser; the loop sets its rate before each step."""
        return torch.optim.RAdam(
            parameters,
            lr=0.0,
            betas=self.betas,
            eps=self.epsilon,
            weight_decay=self.weight_decay,
            decoupled_weight_decay=True,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Sgd:
    """Gradient descent with momentum; its weight decay is part of the gradient, as Cohen et al. 2019 have it."""

    momentum: float = 0.9
    nesterov: bool = False
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.momentum < 1:
            raise ValueError(f"momentum must be in [0, 1), got {self.momentum}")
        if self.nesterov and not self.momentum:
            raise ValueError("nesterov needs a momentum above 0")
        _check_decay(self.weight_decay)

    def build(self, parameters: Trained) -> torch.optim.Optimizer:
        """Return the optimiser; the loop sets its rate before each step."""
        return torch.optim.SGD(
            parameters, lr=0.0, momentum=self.momentum, nesterov=self.nesterov, weight_decay=self.weight_decay
        )


Optimizer = AdamW | RAdam | Sgd


def _check_moments(betas: tuple[float, float], epsilon: float, weight_decay: float) -> None:
    if not all(0 <= beta < 1 for beta in betas) or not epsilon > 0:
        raise ValueError(f"betas must be in [0, 1) and epsilon > 0, got {betas} and {epsilon}")
    _check_decay(weight_decay)


def _check_decay(weight_decay: float) -> None:
    if not 0 <= weight_decay < float("inf"):
        raise ValueError(f"weight_decay must be finite and at least 0, got {weight_decay}")
