"""The parametrisation of Karras et al. 2022, which EDM networks and consistency models share."""

import math
from dataclasses import dataclass, field
from typing import NamedTuple

from torch import nn

from purecert.train.purifiers.base import OneStepPurifier, Step, apply_step, apply_steps
from purecert.train.schedules.noise_levels import NoiseRange, TimeRule, choose_time
from purecert.train.shapes import Image, Times


class Scales(NamedTuple):
    """The constants of D(x, t) = skip x + out F(inp x, ln(t) / 4)."""

    skip: float
    out: float
    inp: float


def boundary_scales(t: float, sigma_data: float, t_min: float) -> Scales:
    """Return the scales with which D(x, t_min) = x, whatever F is (Song et al. 2023, app. C).

    With ``t_min`` 0 they are those of the EDM denoiser (Karras et al. 2022, table 1).
    """
    norm = math.hypot(t, sigma_data)
    distance = t - t_min
    return Scales(sigma_data**2 / (distance**2 + sigma_data**2), distance * sigma_data / norm, 1 / norm)


@dataclass(frozen=True, kw_only=True, slots=True)
class KarrasConfig:
    """The parametrisation of a network, and the choice of its time.

    ``time_rule`` matters where networks were distilled on a grid. At sigma .25 a pixel noise of .5 reaches the network
    (images span [-1, 1]); on the 18 points of the CIFAR-10 models ``exact`` asks it at t = .5, ``nearest-2sigma`` (the
    official code of Consistency Purification) at .5853, ``nearest-sigma`` (the text of its paper) at .2964. At sigma .5
    these are 1, 1.0882 and .5853; at sigma 1 they are 2, 1.9233 and 1.0882.
    """

    sigma_data: float = 0.5  # std of the images on the [-1, 1] scale
    levels: NoiseRange = field(default_factory=NoiseRange)
    time_rule: TimeRule = "exact"
    grid_points: int = 18  # of the two nearest rules
    clip: bool = False  # limit the clean image to [-1, 1]
    label_scale: float = 1.0  # the network's time input is label_scale ln(t) / 4; OpenAI's 64x64 models take 1000

    def __post_init__(self) -> None:
        if not 0 < self.sigma_data < math.inf:
            raise ValueError(f"sigma_data must be > 0, got {self.sigma_data}")
        if self.grid_points < 2:
            raise ValueError(f"grid_points must be at least 2, got {self.grid_points}")
        if not 0 < self.label_scale < math.inf:
            raise ValueError(f"label_scale must be > 0, got {self.label_scale}")

    @property
    def rule_name(self) -> str:
        """The time rule with the grid that it needs."""
        return self.time_rule if self.time_rule == "exact" else f"{self.time_rule} of {self.grid_points}"

    def time(self, sigma: float) -> float:
        """Return the time at pixel noise ``sigma``, as ``choose_time`` does."""
        return choose_time(sigma, self.time_rule, self.levels, self.grid_points)

    def step(self, t: float, t_min: float) -> Step:
        """Return the constants of D(x, t), a consistency model's, or with ``t_min`` 0 an EDM denoiser's."""
        scales = boundary_scales(t, self.sigma_data, t_min)
        return Step(scales.skip, scales.out, scales.inp, self.label_scale * math.log(t) / 4)


class KarrasPurifier(OneStepPurifier):
    """A purifier of one call of a network of this parametrisation."""

    def __init__(self, config: KarrasConfig, network: nn.Module) -> None:
        super().__init__(network)
        self.config = config

    @property
    def time_rule(self) -> str:
        return self.config.rule_name

    @property
    def clips(self) -> bool:
        return self.config.clip

    def timestep(self, sigma: float) -> float:
        return self.config.time(sigma)


def denoise(network: nn.Module, config: KarrasConfig, noisy: Image, t: float) -> Image:
    """Return D(noisy, t), the consistency function at one time for the whole batch."""
    return apply_step(network, config.step(t, config.levels.t_min), noisy)


def denoise_each(
    network: nn.Module, config: KarrasConfig, noisy: Image, times: Times, t_min: float | None = None
) -> Image:
    """Return D(noisy, t) with a time of its own for each image, as training needs.

    It is the consistency function, or with ``t_min`` 0 the EDM denoiser.
    """
    start = config.levels.t_min if t_min is None else t_min
    return apply_steps(network, [config.step(t, start) for t in times.tolist()], noisy)
