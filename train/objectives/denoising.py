"""Denoising score matching as EDM does it (Karras et al. 2022)."""

import math
from dataclasses import dataclass
from typing import final

from torch import Tensor, nn

from purecert.train.distances.pixels import l2
from purecert.train.fitting.draws import Batch
from purecert.train.objectives.objective import Objective, per_image
from purecert.train.purifiers.karras import KarrasConfig, denoise_each
from purecert.train.shapes import Image, Times


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class DenoisingObjective(Objective):
    """The weighted squared error of the denoiser, at times whose logarithm is normal (Karras et al. 2022, table 1)."""

    network: nn.Module
    config: KarrasConfig
    mean: float = -1.2  # of ln t
    std: float = 1.2

    def __post_init__(self) -> None:
        if not (math.isfinite(self.mean) and 0 < self.std < math.inf):
            raise ValueError(f"ln t needs a finite mean and a std > 0, got {self.mean} and {self.std}")

    def __call__(self, batch: Batch) -> Tensor:
        times = (self.mean + self.std * batch.draws.normal().double()).exp()
        noise = batch.draws.normal(*batch.images.shape[1:])
        return denoising_loss(self.network, self.config, batch.images, noise, times)


def denoising_loss(network: nn.Module, config: KarrasConfig, clean: Image, noise: Image, times: Times) -> Tensor:
    """Return the mean of (t^2 + s^2) / (t s)^2 |D(x + t z; t) - x|^2, s the std of data (Karras et al. 2022, eq. 2).

    The squared norm is a mean over the values of an image, so that the loss does not grow with its size; at the start
    of a training every time adds about 1.

    Args:
        network: F of the parametrisation; D is the EDM denoiser, with t_min 0.
        config: Its parametrisation.
        clean: Images x on the [-1, 1] scale.
        noise: Standard normal z.
        times: t of each image, > 0, on that scale.
    """
    found = denoise_each(network, config, clean + per_image(times, clean) * noise, times, t_min=0.0)
    return weighted_error(found, clean, times, config.sigma_data)


def weighted_error(found: Image, clean: Image, times: Times, sigma_data: float) -> Tensor:
    """Return the mean of (t^2 + s^2) / (t s)^2 |found - x|^2, see ``denoising_loss``."""
    weights = (times.square() + sigma_data**2) / (times * sigma_data).square()
    return (weights.to(found) * l2(found, clean)).mean()
