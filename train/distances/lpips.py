"""LPIPS, the learned perceptual distance of Zhang et al. 2018: our network, and the lpips package in its place."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from purecert.train.distances.features import unit_length
from purecert.train.distances.lpips_networks import BACKBONES, LpipsNetwork
from purecert.train.shapes import Image, PerImage

NetworkInput = Float[Tensor, "batch 3 size_y size_x"]

# The mean and std of ImageNet's colours, brought to the [-1, 1] scale, with the digits that the lpips package has.
_SHIFT = (-0.030, -0.088, -0.188)
_SCALE = (0.458, 0.448, 0.450)


@dataclass(frozen=True, kw_only=True, slots=True)
class LpipsConfig:
    """Which LPIPS, at which size."""

    network: LpipsNetwork = "squeeze"
    size: int | None = None  # height and width to which images are brought first; 64 for 28x28. None: as they are

    def __post_init__(self) -> None:
        least = BACKBONES[self.network].smallest
        if self.size is not None and self.size < least:
            raise ValueError(f"size: {BACKBONES[self.network].title} needs at least {least} pixels, got {self.size}")

    def prepare(self, images: Image) -> NetworkInput:
        """Return images of three channels at the configured size: grey ones three times, resized bilinearly.

        Raises:
            ValueError: They have neither one channel nor three, or are too small for the network.
        """
        channels, *extent = images.shape[1:]
        if channels not in (1, 3):
            raise ValueError(f"LPIPS needs grey or RGB images, got {channels} channels")
        colour = images.expand(-1, 3, -1, -1)
        if self.size is not None:
            return functional.interpolate(colour, (self.size, self.size), mode="bilinear", align_corners=False)
        backbone = BACKBONES[self.network]
        if min(extent) < backbone.smallest:
            raise ValueError(
                f"LPIPS on {backbone.title} needs images of at least {backbone.smallest} pixels, got {extent}; "
                "give it a size, such as 64"
            )
        return colour


@final
class Lpips(nn.Module):
    """Our network: the distance of each pair of images on the [-1, 1] scale, at least 0, frozen."""

    shift: Tensor
    scale: Tensor

    def __init__(self, config: LpipsConfig, features: nn.Sequential, heads: Sequence[Tensor], origin: str) -> None:
        """Put together what ``load_lpips`` reads.

        Args:
            config: Which network and size.
            features: The backbone, up to its last tap.
            heads: The weights of its channels at each tap.
            origin: Where the heads are from, for a training's record.
        """
        super().__init__()
        self.config, self.features, self.origin = config, features, origin
        self.heads = nn.ParameterList(heads)
        self.register_buffer("shift", torch.tensor(_SHIFT)[:, None, None], persistent=False)
        self.register_buffer("scale", torch.tensor(_SCALE)[:, None, None], persistent=False)
        self.eval().requires_grad_(False)

    def forward(self, a: Image, b: Image) -> PerImage:
        return lpips_distance(self._taps(a), self._taps(b), list(self.heads))

    def _taps(self, images: Image) -> list[Tensor]:
        x = (self.config.prepare(images) - self.shift) / self.scale
        taps = []
        for index, layer in enumerate(self.features):
            x = layer(x)
            if index in BACKBONES[self.config.network].taps:
                taps.append(x)
        return taps


@final
class PackageLpips(nn.Module):
    """The lpips package's own network, taken where it can be imported."""

    def __init__(self, config: LpipsConfig, network: nn.Module, origin: str) -> None:
        super().__init__()
        self.config, self.network, self.origin = config, network, origin
        self.eval().requires_grad_(False)

    def forward(self, a: Image, b: Image) -> PerImage:
        found: Tensor = self.network(self.config.prepare(a), self.config.prepare(b))
        return found.flatten()


def lpips_distance(a: Sequence[Tensor], b: Sequence[Tensor], heads: Sequence[Tensor]) -> PerImage:
    """Return the sum over layers of the mean over places of w . (a' - b')^2 (Zhang et al. 2018, eq. 1).

    Args:
        a: Features [batch, channels, height, width] of each layer; a' has unit length along the channels.
        b: The same layers' features of the other images.
        heads: w of each layer, [channels], at least 0.
    """
    layers = [
        (unit_length(p) - unit_length(q)).square().mean(dim=(2, 3)) @ w for p, q, w in zip(a, b, heads, strict=True)
    ]
    return torch.stack(layers).sum(dim=0)
