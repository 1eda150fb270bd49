"""Purifiers: each turns a noisy image into a clean one, at a noise level that is known and fixed.

Images are on the [-1, 1] scale, where pixel noise of std sigma has a std of 2 sigma. Times and the constants made
from them are Python floats, so that half precision cannot lose them and an exported graph holds them as constants.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, final

import torch
from torch import Tensor, nn

from purecert.train.schedules import NoiseRange, TimeRule, choose_time
from purecert.train.shapes import FreshNoise, Image, Times


class Purifier(nn.Module, ABC):
    """Removes Gaussian noise of a known level in a fixed number of network calls."""

    @property
    @abstractmethod
    def time_rule(self) -> str:
        """How a noise level becomes the network's time, as plans record it."""

    @abstractmethod
    def timestep(self, sigma: float) -> float:
        """Return the time used at pixel noise ``sigma``.

        Raises:
            InputError: The purifier was not made for this noise.
        """

    @abstractmethod
    def noise_inputs(self, sigma: float) -> tuple[int, ...]:
        """Return how many standard normal images each extra input of ``forward`` holds; empty where it has none."""

    @abstractmethod
    def forward(self, noisy: Image, sigma: float, noises: Sequence[FreshNoise] = ()) -> Image:
        """Return the clean images, [batch, C, H, W] on the [-1, 1] scale.

        Args:
            noisy: Images on the [-1, 1] scale plus noise of std ``2 sigma``.
            sigma: Noise std in [0, 1] pixel units; a constant of the graph.
            noises: One standard normal tensor [batch, k, C, H, W] for each k of ``noise_inputs(sigma)``.
        """


@dataclass(frozen=True, kw_only=True, slots=True)
class IdentityConfig:
    """Nothing to choose."""


@final
class IdentityPurifier(Purifier):
    """No purifier: the classifier itself faces the noise, as in Cohen et al. 2019."""

    def __init__(self, config: IdentityConfig) -> None:
        super().__init__()
        self.config = config

    @property
    def time_rule(self) -> str:
        return "none"

    def timestep(self, sigma: float) -> float:
        return 2 * sigma

    def noise_inputs(self, sigma: float) -> tuple[int, ...]:
        return ()

    def forward(self, noisy: Image, sigma: float, noises: Sequence[FreshNoise] = ()) -> Image:
        return noisy


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
class ConsistencyConfig:
    """A consistency model's parametrisation, and the choice of its time."""

    sigma_data: float = 0.5  # std of the images on the [-1, 1] scale
    levels: NoiseRange = field(default_factory=NoiseRange)
    time_rule: TimeRule = "exact"
    grid_points: int = 18  # of the two nearest rules
    clip: bool = False  # limit the clean image to [-1, 1]

    def __post_init__(self) -> None:
        if not 0 < self.sigma_data < math.inf:
            raise ValueError(f"sigma_data must be > 0, got {self.sigma_data}")
        if self.grid_points < 2:
            raise ValueError(f"grid_points must be at least 2, got {self.grid_points}")


def denoise(network: nn.Module, config: ConsistencyConfig, noisy: Image, t: float) -> Image:
    """Return D(noisy, t), the consistency function at one time for the whole batch."""
    scales = boundary_scales(t, config.sigma_data, config.levels.t_min)
    label = torch.full((1,), math.log(t) / 4, dtype=torch.float32, device=noisy.device)
    raw: Tensor = network(scales.inp * noisy, label)
    if raw.shape[1:] != noisy.shape[1:]:  # broadcasting would hide it
        raise ValueError(f"the network must keep an image's shape {list(noisy.shape[1:])}, gave {list(raw.shape[1:])}")
    return scales.skip * noisy + scales.out * raw


def denoise_each(network: nn.Module, config: ConsistencyConfig, noisy: Image, times: Times) -> Image:
    """Return D(noisy, t) with a time of its own for each image, as training needs."""
    scales = [boundary_scales(t, config.sigma_data, config.levels.t_min) for t in times.tolist()]
    skip, out, inp = torch.tensor(scales, dtype=noisy.dtype, device=noisy.device).T[:, :, None, None, None].unbind()
    label = (times.log() / 4).to(torch.float32)
    raw: Tensor = network(inp * noisy, label)
    return skip * noisy + out * raw


@final
class ConsistencyPurifier(Purifier):
    """One step of a consistency model (Song et al. 2023): the start of the trajectory that passes the noisy image."""

    def __init__(self, config: ConsistencyConfig, network: nn.Module) -> None:
        super().__init__()
        self.config = config
        self.network = network

    @property
    def time_rule(self) -> str:
        return _name_rule(self.config)

    def timestep(self, sigma: float) -> float:
        return choose_time(sigma, self.config.time_rule, self.config.levels, self.config.grid_points)

    def noise_inputs(self, sigma: float) -> tuple[int, ...]:
        return ()

    def forward(self, noisy: Image, sigma: float, noises: Sequence[FreshNoise] = ()) -> Image:
        clean = denoise(self.network, self.config, noisy, self.timestep(sigma))
        return clean.clamp(-1, 1) if self.config.clip else clean


@dataclass(frozen=True, kw_only=True, slots=True)
class MultistepConfig:
    """Two steps of a consistency model, with fresh noise between them."""

    model: ConsistencyConfig = field(default_factory=ConsistencyConfig)
    second_ratio: float = 0.5  # the second time as a share of the first

    def __post_init__(self) -> None:
        if not 0 < self.second_ratio < 1:
            raise ValueError(f"second_ratio must be inside (0, 1), got {self.second_ratio}")


@final
class MultistepPurifier(Purifier):
    """Two-step stochastic consistency sampling (Song et al. 2023, algorithm 1), started at the noisy image.

    The noise between the steps is an input, so that a vote is one draw of a randomised classifier whose randomness
    does not depend on the image.
    """

    def __init__(self, config: MultistepConfig, network: nn.Module) -> None:
        super().__init__()
        self.config = config
        self.network = network

    @property
    def time_rule(self) -> str:
        return f"{_name_rule(self.config.model)}, then times {self.config.second_ratio:g}"

    def timestep(self, sigma: float) -> float:
        model = self.config.model
        return choose_time(sigma, model.time_rule, model.levels, model.grid_points)

    def noise_inputs(self, sigma: float) -> tuple[int, ...]:
        return (1,)

    def forward(self, noisy: Image, sigma: float, noises: Sequence[FreshNoise] = ()) -> Image:
        model = self.config.model
        if len(noises) != 1:
            raise ValueError(f"noises: expected 1 tensor, as noise_inputs says, got {len(noises)}")
        fresh = noises[0]
        first = self.timestep(sigma)
        second = max(first * self.config.second_ratio, model.levels.t_min)
        added = math.sqrt(second**2 - model.levels.t_min**2)
        clean = denoise(self.network, model, noisy, first)
        clean = denoise(self.network, model, clean + added * fresh[:, 0], second)
        return clean.clamp(-1, 1) if model.clip else clean


def _name_rule(config: ConsistencyConfig) -> str:
    return config.time_rule if config.time_rule == "exact" else f"{config.time_rule} of {config.grid_points}"
