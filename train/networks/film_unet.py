"""A small convolutional U-Net whose time scales and shifts its channels (FiLM, Perez et al. 2018)."""

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import final

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional

from purecert.train.networks.limits import MAX_LEVELS
from purecert.train.shapes import Image

_KERNEL = 5
_LOWEST_FREQUENCY = 1e-3


@dataclass(frozen=True, kw_only=True, slots=True)
class FilmUNetConfig:
    """The shape of one network; every width after the first is at half the size of the one before."""

    channels: int = 3
    widths: tuple[int, ...] = (24, 48, 96)
    last_width: int = 6  # of the layer before the output
    embedding: int = 48
    classes: int = 10  # 0: the time alone conditions the network
    class_token: bool = False  # one learned vector in place of the class embedding

    def __post_init__(self) -> None:
        if not self.widths or min(self.channels, self.last_width, *self.widths) < 1 or self.classes < 0:
            raise ValueError(f"need positive widths and no negative number of classes, got {self}")
        if len(self.widths) > MAX_LEVELS:
            raise ValueError(f"expected at most {MAX_LEVELS} resolutions, got {len(self.widths)}")
        if self.embedding < 2 or self.embedding % 2:
            raise ValueError(f"embedding must be even, as sine and cosine need, got {self.embedding}")
        if self.class_token and self.classes:
            raise ValueError("a network has classes or a class token, not both")


class Film(nn.Module):
    """gamma x + beta per channel, with gamma and beta linear in the embedding."""

    def __init__(self, embedding: int, channels: int) -> None:
        super().__init__()
        self.linear = nn.Linear(embedding, 2 * channels)

    def forward(self, x: Tensor, embedding: Tensor | None) -> Tensor:
        assert embedding is not None  # a folded network holds FixedFilm in this place
        gamma, beta = self.modulation(embedding)[:, :, None, None].chunk(2, dim=1)
        return gamma * x + beta

    def modulation(self, embedding: Tensor) -> Tensor:
        """Return [batch, 2 channels]: gamma, then beta."""
        both: Tensor = self.linear(embedding)
        return both


class FixedFilm(nn.Module):
    """The same at one embedding."""

    def __init__(self, gamma: Float[Tensor, "channels 1 1"], beta: Float[Tensor, "channels 1 1"]) -> None:
        super().__init__()
        self.gamma, self.beta = nn.Parameter(gamma, requires_grad=False), nn.Parameter(beta, requires_grad=False)

    def forward(self, x: Tensor, embedding: Tensor | None) -> Tensor:
        return self.gamma * x + self.beta


def _layer(inputs: int, outputs: int) -> nn.Sequential:
    convolution = nn.Conv2d(inputs, outputs, _KERNEL, padding=_KERNEL // 2)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.SiLU())


@final
class FilmUNet(nn.Module):
    """The noise in an image at one time of a DDPM, given its class or the mean of all classes."""

    class_token: nn.Parameter | None

    def __init__(self, config: FilmUNetConfig) -> None:
        super().__init__()
        self.config = config
        width, up = config.embedding, list(config.widths[::-1])
        self.time_emb: nn.Sequential | None = nn.Sequential(
            nn.Linear(width, 4 * width), nn.SiLU(), nn.Linear(4 * width, width)
        )
        self.prompt_emb: nn.Embedding | None = nn.Embedding(config.classes, width) if config.classes else None
        # Registered also where it is None, so that a parameter may take its place.
        self.register_parameter("class_token", nn.Parameter(torch.zeros(width)) if config.class_token else None)
        self.time_filmUp = nn.ModuleList(Film(width, channels) for channels in (*config.widths, *up[:-1]))
        self.down_layers = nn.ModuleList(_layer(a, b) for a, b in pairwise((config.channels, *config.widths)))
        inputs = (up[0], *(below + kept for below, kept in pairwise(up)))
        outputs = (*up[:-1], config.last_width)
        self.up_layers = nn.ModuleList(_layer(a, b) for a, b in zip(inputs, outputs, strict=True))
        self.finalLayer = nn.Conv2d(config.last_width, config.channels, _KERNEL, padding=_KERNEL // 2)

    def forward(
        self,
        x: Image,
        times: Float[Tensor, " batch_or_1"] | None = None,
        classes: Int64[Tensor, " batch"] | None = None,
    ) -> Image:
        """Return the noise.

        Args:
            x: Noisy images on the [-1, 1] scale, scaled as the DDPM has them at that time.
            times: The DDPM's t, one or one per image; None where the time is folded into the network.
            classes: Where the network has classes, and only there.
        """
        embedding = None if times is None else self.embed(times, classes)
        kept = []
        for index, layer in enumerate(self.down_layers):
            x = functional.max_pool2d(x, 2) if index else x
            x = self.time_filmUp[index](layer(x), embedding)
            kept.append(x)
        kept.pop()
        films = self.time_filmUp[len(self.down_layers) :]
        for index, layer in enumerate(self.up_layers):
            x = torch.cat([functional.interpolate(x, scale_factor=2.0), kept.pop()], dim=1) if index else x
            x = layer(x)
            x = films[index](x, embedding) if index < len(films) else x
        noise: Tensor = self.finalLayer(x)
        return noise

    def embed(self, times: Tensor, classes: Tensor | None) -> Float[Tensor, "batch_or_1 embedding"]:
        """Return the embedding of times and classes."""
        assert self.time_emb is not None  # only a folded network lacks it, and it takes no times
        if (classes is None) != (self.prompt_emb is None):
            raise ValueError(f"expected classes exactly where the network has any, it has {self.config.classes}")
        half = self.config.embedding // 2
        frequencies = torch.exp(math.log(_LOWEST_FREQUENCY) / half * torch.arange(half, device=times.device))
        angle = times.float()[:, None] * frequencies
        sinusoid = torch.cat([angle.sin(), angle.cos()], dim=1)
        embedding: Tensor = self.time_emb(sinusoid)
        if self.prompt_emb is not None:
            embedding = embedding + self.prompt_emb(classes)
        return embedding if self.class_token is None else embedding + self.class_token
