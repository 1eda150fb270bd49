"""DDPMs (Ho et al. 2020) as purifiers: the clean image that one prediction of the noise implies."""

import math
from dataclasses import dataclass
from typing import final

from torch import nn

from purecert.train.purifiers.base import OneStepPurifier, Step
from purecert.train.schedules.betas import BetaSchedule, DiffusionRule, choose_step, noise_ratio

_LAST_BETA_TIMES_STEPS = 20  # .02 at 1,000 steps, and so in proportion
_EMBEDDED_STEPS = 1000  # the range of times to which rescaled networks map theirs


@dataclass(frozen=True, kw_only=True, slots=True)
class DiffusionConfig:
    """A DDPM's schedule, and the choice of its time.

    ``first-above`` (the code of Carlini et al. 2023) gives t = 1158, 1984, 2809 at sigma .25, .5, 1 on the cosine
    schedule of 4,000 steps, and 145, 259, 396 on the linear one of 1,000; ``closed-form`` (the code of DensePure and of
    Consistency Purification; cosine only) gives 1159, 1984, 2810. ``first-above`` scales its input as a sample at t
    has it; ``closed-form`` by 1 / sqrt(1 + 4 sigma^2), the share of the image at the noise that is really there.
    """

    schedule: BetaSchedule
    steps: int  # T
    time_rule: DiffusionRule = "first-above"
    rescale_times: bool = False  # the network takes 1000 t / T
    learns_variance: bool = False  # the network gives a variance after the noise (Nichol and Dhariwal 2021)
    clip: bool = True  # limit the clean image to [-1, 1]

    def __post_init__(self) -> None:
        if self.steps < 2:
            raise ValueError(f"steps must be at least 2, got {self.steps}")
        if self.schedule == "linear" and self.steps <= _LAST_BETA_TIMES_STEPS:  # the last beta would be 1 or more
            raise ValueError(f"the linear schedule needs more than {_LAST_BETA_TIMES_STEPS} steps, got {self.steps}")
        if self.time_rule == "closed-form" and self.schedule != "cosine":
            raise ValueError(f"time rule closed-form holds for the cosine schedule, not {self.schedule}")


@final
class DiffusionPurifier(OneStepPurifier):
    """One-step DDPM (Carlini et al. 2023): x0 = (x_t - sqrt(1 - abar) eps(x_t, t)) / sqrt(abar)."""

    def __init__(self, config: DiffusionConfig, network: nn.Module) -> None:
        super().__init__(network)
        self.config = config

    @property
    def time_rule(self) -> str:
        return f"{self.config.time_rule} of {self.config.schedule} {self.config.steps}"

    @property
    def clips(self) -> bool:
        return self.config.clip

    def timestep(self, sigma: float) -> float:
        return choose_step(sigma, self.config.time_rule, self.config.schedule, self.config.steps)

    def step(self, sigma: float) -> Step:
        t = int(self.timestep(sigma))
        level = noise_ratio(self.config.schedule, self.config.steps, t)
        is_exact = self.config.time_rule == "closed-form"
        return self.step_at(t, 2 * sigma if is_exact else level)

    def step_at(self, t: int, level: float) -> Step:
        """Return the constants at time ``t`` for x0 plus noise of std ``level``, which fixes the input's scale.

        x_t = s x with s = 1 / sqrt(1 + level^2); where ``level`` is that of t, s = sqrt(abar) and the skip is 1.
        """
        config = self.config
        ratio = noise_ratio(config.schedule, config.steps, t)
        scale = 1 / math.hypot(1, level)
        label = t * _EMBEDDED_STEPS / config.steps if config.rescale_times else float(t)
        return Step(scale * math.hypot(1, ratio), -ratio, scale, label, has_variance=config.learns_variance)
