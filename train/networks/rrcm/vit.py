"""The network of rRCM (Lei et al. 2025, arXiv 2501.13094): a ViT of noisy images with their noise level as a token."""

import math
from dataclasses import dataclass
from typing import TypeAlias, final

import torch
from jaxtyping import Float
from torch import Tensor, nn

from purecert.train.networks.adm.blocks import sinusoids
from purecert.train.networks.limits import MAX_LAYERS
from purecert.train.networks.rrcm.blocks import NORM_EPS, Block, Tokens
from purecert.train.shapes import Image

Feature: TypeAlias = Float[Tensor, "batch embedding"]
TimeInput: TypeAlias = Float[Tensor, " batch_or_1"]

_LABEL_SCALE = 1000 / 4  # the time token is made of 250 ln t
_OTHER_TOKENS = 2  # the class token and the time token, in this order before the patches


@dataclass(frozen=True, kw_only=True, slots=True)
class RrcmVitConfig:
    """The shape of one network; the defaults are those of the paper's rRCM-B on CIFAR-10."""

    image_size: int = 32
    patch_size: int = 4
    channels: int = 3
    width: int = 768  # of a token
    depth: int = 12  # blocks
    heads: int = 12  # of width 64 in the published networks; no weight shows it
    mlp_ratio: int = 4
    projection_hidden: int = 2048
    projection_width: int = 256
    sigma_data: float = 0.5  # std of the images on the [-1, 1] scale

    def __post_init__(self) -> None:
        sizes = (self.image_size, self.patch_size, self.channels, self.width, self.depth, self.heads, self.mlp_ratio)
        if min(*sizes, self.projection_hidden, self.projection_width) < 1:
            raise ValueError(f"a network needs positive sizes, got {self}")
        if self.image_size % self.patch_size or self.width % self.heads or self.width % 2:
            raise ValueError(f"patches must tile the image, heads and 2 divide the width, got {self}")
        if self.depth > MAX_LAYERS:
            raise ValueError(f"expected at most {MAX_LAYERS} blocks, got {self.depth}")
        if not 0 < self.sigma_data < math.inf:
            raise ValueError(f"sigma_data must be > 0, got {self.sigma_data}")

    @property
    def tokens(self) -> int:
        """How many tokens pass through the blocks."""
        return _OTHER_TOKENS + (self.image_size // self.patch_size) ** 2


class _Patches(nn.Module):
    """Patches as tokens, row by row."""

    def __init__(self, config: RrcmVitConfig) -> None:
        super().__init__()
        self.proj = nn.Conv2d(config.channels, config.width, config.patch_size, stride=config.patch_size)

    def forward(self, x: Image) -> Tokens:
        patches: Tensor = self.proj(x)
        return patches.flatten(2).transpose(1, 2)


def _projection_head(config: RrcmVitConfig) -> nn.Sequential:
    hidden = config.projection_hidden
    return nn.Sequential(
        nn.Linear(config.width, hidden, bias=False),
        nn.BatchNorm1d(hidden),
        nn.ReLU(),
        nn.Linear(hidden, hidden, bias=False),
        nn.BatchNorm1d(hidden),
        nn.ReLU(),
        nn.Linear(hidden, config.projection_width, bias=False),
    )


@final
class RrcmVit(nn.Module):
    """What rRCM trains: the class token of a noisy image, and what two of its losses compare.

    One noise level t serves a whole batch, on the [-1, 1] scale. The network sees c_in x with
    c_in = 1 / sqrt(t^2 + sigma_data^2), and 250 ln t as a token of sinusoids.
    """

    def __init__(self, config: RrcmVitConfig) -> None:
        super().__init__()
        self.config = config
        self.cls_token = nn.Parameter(torch.zeros(1, 1, config.width))
        self.pos_embed = nn.Parameter(torch.zeros(1, config.tokens, config.width))
        self.patch_embed = _Patches(config)
        self.blocks = nn.ModuleList(Block(config.width, config.heads, config.mlp_ratio) for _ in range(config.depth))
        self.norm = nn.LayerNorm(config.width, eps=NORM_EPS)
        self.projection_head = _projection_head(config)
        nn.init.normal_(self.pos_embed, std=0.02)
        nn.init.normal_(self.cls_token, std=1e-6)

    def forward(self, noisy: Image, t: float) -> Feature:
        """Return the class token as the last block leaves it: the feature of CIFAR classifiers.

        Args:
            noisy: Images on the [-1, 1] scale plus noise of std ``t``.
            t: The noise level on that scale, > 0.
        """
        return self.encode(*self.precondition(noisy, t))

    def represent(self, noisy: Image, t: float) -> Feature:
        """Return c, the class token after the final norm: the feature of the consistency term and of ImageNet's."""
        feature: Tensor = self.norm(self(noisy, t))
        return feature

    def project(self, noisy: Image, t: float) -> Feature:
        """Return p, the projection of c: the feature of the contrastive terms. It uses batch statistics in training."""
        projected: Tensor = self.projection_head(self.represent(noisy, t))
        return projected

    def precondition(self, noisy: Image, t: float) -> tuple[Image, TimeInput]:
        """Return the inputs of ``encode``: c_in x, and 250 ln t once for the whole batch."""
        time = torch.full((1,), _LABEL_SCALE * math.log(t), dtype=torch.float32, device=noisy.device)
        return noisy / math.hypot(t, self.config.sigma_data), time

    def encode(self, x: Image, times: TimeInput) -> Feature:
        """Return the class token after the last block, of which nothing else is computed."""
        tokens = self.embed(x, times)
        for block in self.blocks[:-1]:
            tokens = block(tokens)
        last = self.blocks[-1]
        assert isinstance(last, Block)
        return last.answer_first(tokens)[:, 0]

    def embed(self, x: Image, times: TimeInput) -> Tokens:
        """Return [class | time | patches] with their positions, the input of the first block."""
        rows = x.shape[0]
        time = sinusoids(times, self.config.width).to(x.dtype)[:, None].expand(rows, -1, -1)
        return torch.cat([self.cls_token.expand(rows, -1, -1), time, self.patch_embed(x)], dim=1) + self.pos_embed
