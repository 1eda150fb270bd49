"""Plain Gaussian denoisers as purifiers (Denoised Smoothing, Salman et al. 2020)."""

from dataclasses import dataclass
from typing import Literal, final

from torch import nn

from purecert.train.purifiers.base import OneStepPurifier, Step


@dataclass(frozen=True, kw_only=True, slots=True)
class GaussianConfig:
    """What the network answers, for images on the [0, 1] scale and noise of std sigma."""

    predicts: Literal["image", "noise"] = "image"
    clip: bool = False  # limit the clean image to [-1, 1]


@final
class GaussianPurifier(OneStepPurifier):
    """y = (x + 1) / 2; clean = 2 F(y, sigma) - 1, or x - 2 F(y, sigma) where F answers the noise.

    FFDNet (Zhang et al. 2018) takes the noise level as input; DnCNN (Zhang et al. 2017) in its blind form ignores it.
    """

    def __init__(self, config: GaussianConfig, network: nn.Module) -> None:
        super().__init__(network)
        self.config = config

    @property
    def time_rule(self) -> str:
        return "the noise level itself"

    @property
    def clips(self) -> bool:
        return self.config.clip

    def timestep(self, sigma: float) -> float:
        return 2 * sigma

    def step(self, sigma: float) -> Step:
        if self.config.predicts == "image":
            return Step(0.0, 2.0, 0.5, sigma, inp_shift=0.5, shift=-1.0)
        return Step(1.0, -2.0, 0.5, sigma, inp_shift=0.5)
