"""EDM networks (Karras et al. 2022) as purifiers: one denoising step, or the probability-flow ODE."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import final

from torch import nn

from purecert.train.purifiers.base import ManyStepsPurifier, Step, apply_step
from purecert.train.purifiers.karras import KarrasConfig, KarrasPurifier
from purecert.train.schedules.noise_levels import NoiseRange
from purecert.train.shapes import FreshNoise, Image


@final
class EdmPurifier(KarrasPurifier):
    """The denoiser itself: the mean of all clean images behind the noisy one (Karras et al. 2022, eq. 7)."""

    def step(self, sigma: float) -> Step:
        return self.config.step(self.timestep(sigma), 0.0)


@dataclass(frozen=True, kw_only=True, slots=True)
class OdeConfig:
    """The probability-flow ODE from the noisy image to a clean one, in a fixed number of steps."""

    model: KarrasConfig = field(default_factory=KarrasConfig)
    steps: int | None = None  # k; None: every point of the model's grid below the first time, as the official code

    def __post_init__(self) -> None:
        if self.steps is not None and self.steps < 1:
            raise ValueError(f"steps must be at least 1, got {self.steps}")

    def times(self, first: float) -> tuple[float, ...]:
        """Return the times of the steps, from ``first`` down to the last one before 0."""
        levels = self.model.levels
        if self.steps is None:
            return (first, *(t for t in levels.grid(self.model.grid_points) if t < first))
        if self.steps == 1 or first <= levels.t_min:
            return (first,)
        return NoiseRange(t_min=levels.t_min, t_max=first, rho=levels.rho).grid(self.steps)


@final
class OdePurifier(ManyStepsPurifier):
    """dx/dt = (x - D(x, t)) / t, by Heun's second-order steps; the last, to t = 0, is Euler's.

    Karras et al. 2022, algorithm 1 without its churn. k steps take 2k - 1 network calls, all in one graph.
    """

    def __init__(self, config: OdeConfig, network: nn.Module) -> None:
        super().__init__(network)
        self.config = config

    @property
    def time_rule(self) -> str:
        steps = self.config.steps
        count = f"{steps} Heun steps" if steps else f"Heun steps on the {self.config.model.grid_points}-point grid"
        return f"{self.config.model.rule_name}, then {count}"

    def timestep(self, sigma: float) -> float:
        return self.config.model.time(sigma)

    def noise_inputs(self, sigma: float) -> tuple[int, ...]:
        return ()

    def labels(self, sigma: float) -> tuple[float, ...]:
        labels = (self.config.model.step(t, 0.0).label for t in self.config.times(self.timestep(sigma)))
        return tuple(dict.fromkeys(labels))  # just above t_min, several times have one logarithm

    def forward(self, noisy: Image, sigma: float, noises: Sequence[FreshNoise] = ()) -> Image:
        x = noisy
        times = self.config.times(self.timestep(sigma))
        for t, following in pairwise(times):
            slope = self._slope(x, t)
            guess = x + (following - t) * slope
            x = x + (following - t) / 2 * (slope + self._slope(guess, following))
        clean = self._denoise(x, times[-1])  # Euler's step to 0 ends at D
        return clean.clamp(-1, 1) if self.config.model.clip else clean

    def _denoise(self, x: Image, t: float) -> Image:
        return apply_step(self.network, self.config.model.step(t, 0.0), x)

    def _slope(self, x: Image, t: float) -> Image:
        return (x - self._denoise(x, t)) / t
