"""FFDNet and DnCNN: plain convolutional denoisers of [0, 1] images, under the keys of their checkpoints."""

from dataclasses import dataclass
from itertools import pairwise
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from purecert.train.networks.limits import MAX_LAYERS
from purecert.train.shapes import Image

UNSHUFFLE = 2  # FFDNet works at half size, on each 2 x 2 square as channels


@dataclass(frozen=True, kw_only=True, slots=True)
class PlainDenoiserConfig:
    """The shape of a chain of 3x3 convolutions with ReLU between them."""

    channels: int = 3  # of the image
    width: int = 64
    depth: int = 20  # convolutions

    def __post_init__(self) -> None:
        if self.channels < 1 or self.width < 1 or self.depth < 2:
            raise ValueError(f"need positive channels and width and at least 2 convolutions, got {self}")
        if self.depth > MAX_LAYERS:
            raise ValueError(f"expected at most {MAX_LAYERS} convolutions, got {self.depth}")


def _chain(inputs: int, outputs: int, config: PlainDenoiserConfig) -> nn.Sequential:
    """Return the convolutions; their places, with the ReLUs between, are the keys of the published checkpoints."""
    widths = [inputs, *[config.width] * (config.depth - 1), outputs]
    layers: list[nn.Module] = []
    for before, after in pairwise(widths):
        layers += [nn.Conv2d(before, after, 3, padding=1), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


@final
class Ffdnet(nn.Module):
    """FFDNet (Zhang et al. 2018): the clean image, from the noisy one at half size and a plane of its noise level."""

    def __init__(self, config: PlainDenoiserConfig) -> None:
        super().__init__()
        self.config = config
        folded = config.channels * UNSHUFFLE**2
        self.model = _chain(folded + 1, folded, config)

    def forward(self, x: Image, sigma: Float[Tensor, " batch_or_1"] | None = None) -> Image:
        """Return the clean images; height and width must be even.

        Args:
            x: Noisy images on the [0, 1] scale.
            sigma: Noise std on that scale, one or one per image; None where the level is folded into the network.
        """
        y = functional.pixel_unshuffle(x, UNSHUFFLE)
        if sigma is not None:
            plane = sigma.to(y.dtype)[:, None, None, None].expand(len(y), 1, *y.shape[2:])
            y = torch.cat([y, plane], dim=1)
        return functional.pixel_shuffle(self.model(y), UNSHUFFLE)


@final
class Dncnn(nn.Module):
    """DnCNN in its blind form (Zhang et al. 2017): the noise, whatever its level."""

    def __init__(self, config: PlainDenoiserConfig) -> None:
        super().__init__()
        self.config = config
        self.model = _chain(config.channels, config.channels, config)

    def forward(self, x: Image, sigma: Float[Tensor, " batch_or_1"] | None = None) -> Image:
        """Return the noise of images on the [0, 1] scale; ``sigma`` is taken and ignored, as the network is blind."""
        noise: Tensor = self.model(x)
        return noise
