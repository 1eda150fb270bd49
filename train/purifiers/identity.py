"""No purifier."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

from purecert.train.purifiers.base import Purifier
from purecert.train.shapes import FreshNoise, Image


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

    def timestep(self, sigma: float) -> None:
        return None

    def noise_inputs(self, sigma: float) -> tuple[int, ...]:
        return ()

    def forward(self, noisy: Image, sigma: float, noises: Sequence[FreshNoise] = ()) -> Image:
        return noisy
