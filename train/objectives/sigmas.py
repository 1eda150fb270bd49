"""Which pixel noise each image of a training batch gets."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import final

import torch

from purecert.train.fitting.draws import Draws
from purecert.train.objectives.objective import per_image
from purecert.train.shapes import Image, PixelNoise


class Sigmas(ABC):
    """A distribution of the noise level."""

    __slots__ = ()

    @abstractmethod
    def draw(self, draws: Draws) -> PixelNoise:
        """Return sigma for each row, in [0, 1] pixel units."""


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class DiscreteSigmas(Sigmas):
    """One of a few levels, each as often as the others."""

    values: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.values or not all(0 < sigma <= 1 for sigma in self.values):
            raise ValueError(f"expected at least one sigma in (0, 1], got {self.values}")

    def draw(self, draws: Draws) -> PixelNoise:
        chosen = draws.category(torch.ones(len(self.values)))
        return torch.tensor(self.values, dtype=torch.float64, device=chosen.device)[chosen]


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class UniformSigmas(Sigmas):
    """Any level between two, evenly."""

    low: float = 0.0
    high: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.low < self.high <= 1:
            raise ValueError(f"sigmas need 0 <= low < high <= 1, got {self.low} and {self.high}")

    def draw(self, draws: Draws) -> PixelNoise:
        return self.low + (self.high - self.low) * draws.uniform().double()


def add_noise(clean: Image, noise: Image, sigmas: PixelNoise) -> Image:
    """Return x + 2 sigma z: pixel noise of std sigma on images of the [-1, 1] scale, not limited to it."""
    return clean + per_image(2 * sigmas, clean) * noise
