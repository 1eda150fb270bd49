"""Moving averages of weights."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor, nn

from purecert.train.schedules.noise_levels import ema_decay


@dataclass(frozen=True, kw_only=True, slots=True)
class HalfLife:
    """An average that forgets half in so many steps, sooner at the start (Karras et al. 2022, app. F.2)."""

    steps: float  # 0: no average, the weights themselves

    def __post_init__(self) -> None:
        if not 0 <= self.steps < float("inf"):
            raise ValueError(f"a half-life must be finite and at least 0 steps, got {self.steps}")

    def decay(self, step: int) -> float:
        """Return what the average keeps of itself after ``step`` steps, in [0, 1)."""
        return ema_decay(step, self.steps)


@dataclass(frozen=True, kw_only=True, slots=True)
class FixedDecay:
    """An average that keeps the same share of itself at every step, such as .9999 (Song et al. 2023)."""

    share: float

    def __post_init__(self) -> None:
        if not 0 <= self.share < 1:
            raise ValueError(f"a decay must be in [0, 1), got {self.share}")

    def decay(self, step: int) -> float:
        """Return what the average keeps of itself after ``step`` steps, in [0, 1)."""
        return self.share


Average = HalfLife | FixedDecay


@final
class WeightAverage:
    """An exponential moving average of a module's parameters; buffers are taken as they are."""

    def __init__(self, module: nn.Module, rule: Average) -> None:
        self.module = module
        self.rule = rule
        self.average = [p.detach().clone() for p in module.parameters()]

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Move the average towards the parameters after ``step`` steps."""
        torch._foreach_lerp_(self.average, list(self.module.parameters()), 1 - self.rule.decay(step))

    @torch.no_grad()
    def store(self) -> None:
        """Write the average into the module."""
        for parameter, average in zip(self.module.parameters(), self.average, strict=True):
            parameter.copy_(average)

    @torch.no_grad()
    def load(self, averages: Sequence[Tensor]) -> None:
        """Go on from averages of an earlier session, one a parameter.

        Raises:
            ValueError: They are of other shapes.
        """
        for own, given in zip(self.average, averages, strict=True):
            if own.shape != given.shape:  # a copy would spread it
                raise ValueError(f"an average of shape {list(given.shape)}, expected {list(own.shape)}")
            own.copy_(given)
