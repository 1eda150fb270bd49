"""Consistency models (Song et al. 2023) as purifiers."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import final

from torch import nn

from purecert.train.purifiers.base import ManyStepsPurifier, Step
from purecert.train.purifiers.karras import KarrasConfig, KarrasPurifier, denoise
from purecert.train.shapes import FreshNoise, Image


@final
class ConsistencyPurifier(KarrasPurifier):
    """One step of a consistency model: the start of the trajectory that passes the noisy image."""

    def step(self, sigma: float) -> Step:
        return self.config.step(self.timestep(sigma), self.config.levels.t_min)


@dataclass(frozen=True, kw_only=True, slots=True)
class MultistepConfig:
    """Two steps of a consistency model, with fresh noise between them."""

    model: KarrasConfig = field(default_factory=KarrasConfig)
    second_ratio: float = 0.5  # the second time as a share of the first

    def __post_init__(self) -> None:
        if not 0 < self.second_ratio < 1:
            raise ValueError(f"second_ratio must be inside (0, 1), got {self.second_ratio}")


@final
class MultistepPurifier(ManyStepsPurifier):
    """Two-step stochastic consistency sampling (Song et al. 2023, algorithm 1), started at the noisy image.

    The noise between the steps is an input, so that a vote is one draw of a randomised classifier whose randomness
    does not depend on the image.
    """

    def __init__(self, config: MultistepConfig, network: nn.Module) -> None:
        super().__init__(network)
        self.config = config

    @property
    def time_rule(self) -> str:
        return f"{self.config.model.rule_name}, then times {self.config.second_ratio:g}"

    def timestep(self, sigma: float) -> float:
        return self.config.model.time(sigma)

    def noise_inputs(self, sigma: float) -> tuple[int, ...]:
        return (1,)

    def labels(self, sigma: float) -> tuple[float, ...]:
        model = self.config.model
        return tuple(dict.fromkeys(model.step(t, model.levels.t_min).label for t in self._times(sigma)))

    def forward(self, noisy: Image, sigma: float, noises: Sequence[FreshNoise] = ()) -> Image:
        model = self.config.model
        if len(noises) != 1:
            raise ValueError(f"noises: expected 1 tensor, as noise_inputs says, got {len(noises)}")
        fresh = noises[0]
        first, second = self._times(sigma)
        added = math.sqrt(second**2 - model.levels.t_min**2)
        clean = denoise(self.network, model, noisy, first)
        clean = denoise(self.network, model, clean + added * fresh[:, 0], second)
        return clean.clamp(-1, 1) if model.clip else clean

    def _times(self, sigma: float) -> tuple[float, float]:
        first = self.timestep(sigma)
        return first, max(first * self.config.second_ratio, self.config.model.levels.t_min)
