"""The parts of the SongUNet family: residual block, attention, resampling and noise embeddings.

Written from Song et al. 2021 (NCSN++, DDPM++) and Karras et al. 2022 (their common form); attribute names are the
keys of the published checkpoints, so that these load strictly.
"""

import math
from collections.abc import Sequence
from typing import Literal, TypeVar

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from purecert.train.shapes import Image

_SKIP_SCALE = math.sqrt(0.5)  # keeps the variance of a sum of two equal branches (Song et al. 2021, app. H)

Resampling = Literal["up", "down", "conv-down"]
Layer = TypeVar("Layer", bound=nn.Conv2d | nn.Linear)


def group_norm(channels: int) -> nn.GroupNorm:
    """Return the family's normalisation: at least four channels in a group, at most 32 groups."""
    return nn.GroupNorm(min(32, channels // 4), channels, eps=1e-6)


def xavier(module: Layer, gain: float = 1.0) -> Layer:
    """Return the module with fan-average uniform weights, scaled by ``gain``, and zero bias."""
    nn.init.xavier_uniform_(module.weight, gain)
    if module.bias is not None:
        nn.init.zeros_(module.bias)
    return module


def separable_filter(taps: Sequence[int]) -> Float[Tensor, "1 1 n n"]:
    """Return the outer product of the taps, divided by its sum."""
    row = torch.tensor(taps, dtype=torch.float32)
    square = torch.outer(row, row)
    return (square / square.sum())[None, None]


class Resample2d(nn.Module):
    """Halves or doubles an image with a fixed separable filter."""

    resample_filter: Tensor

    def __init__(self, taps: Sequence[int], direction: Literal["up", "down"]) -> None:
        super().__init__()
        self.direction = direction
        self.register_buffer("resample_filter", separable_filter(taps))

    def forward(self, x: Tensor) -> Tensor:
        return resample(x, self.resample_filter, self.direction)


class ResampledConv2d(nn.Conv2d):
    """A same-size convolution together with a resampling.

    ``up`` and ``down`` resample first. ``conv-down`` convolves first, with the padding of both, and filters last.
    """

    resample_filter: Tensor

    def __init__(self, inputs: int, outputs: int, kernel: int, taps: Sequence[int], resampling: Resampling) -> None:
        filter_padding = (len(taps) - 1) // 2
        padding = kernel // 2 + (filter_padding if resampling == "conv-down" else 0)
        super().__init__(inputs, outputs, kernel, padding=padding)
        self.resampling = resampling
        self.register_buffer("resample_filter", separable_filter(taps))

    def forward(self, input: Tensor) -> Tensor:
        if self.resampling == "conv-down":
            return _filter_down(super().forward(input), self.resample_filter, padding=0)
        return super().forward(resample(input, self.resample_filter, self.resampling))


def resample(
    x: Image, kernel: Float[Tensor, "1 1 n n"], direction: Literal["up", "down"]
) -> Float[Tensor, "batch channels new_height new_width"]:
    """Return the image at half or double size, filtered by ``kernel``."""
    size = kernel.shape[-1]
    padding = (size - 1) // 2
    if direction == "down":
        # A 2 x 2 filter with sum one from two equal taps is the mean: one op instead of a depthwise convolution.
        return functional.avg_pool2d(x, 2) if size == 2 else _filter_down(x, kernel, padding)
    if size == 2:
        return functional.interpolate(x, scale_factor=2.0, mode="nearest")
    weights = (4 * kernel).expand(x.shape[1], 1, size, size)  # 4 keeps the mean: three of four samples are zeros
    return functional.conv_transpose2d(x, weights, stride=2, padding=padding, groups=x.shape[1])


def _filter_down(x: Tensor, kernel: Tensor, padding: int) -> Tensor:
    size = kernel.shape[-1]
    weights = kernel.expand(x.shape[1], 1, size, size)
    return functional.conv2d(x, weights, stride=2, padding=padding, groups=x.shape[1])


class SelfAttention(nn.Module):
    """Softmax attention over the pixels of an image of queries, keys and values.

    The rows are ordered (heads, dim, three), which the checkpoints of this family need; other families order the
    same shapes differently.
    """

    def __init__(self, heads: int = 1) -> None:
        super().__init__()
        self.heads = heads

    def forward(self, qkv: Float[Tensor, "batch rows height width"]) -> Float[Tensor, "batch rows//3 height width"]:
        batch, rows, height, width = qkv.shape
        split = qkv.reshape(batch, self.heads, rows // (3 * self.heads), 3, height * width)
        query, key, value = split.permute(3, 0, 1, 4, 2).unbind(0)  # each [batch, heads, pixels, dim]
        mixed: Tensor = functional.scaled_dot_product_attention(query, key, value)
        return mixed.transpose(2, 3).reshape(batch, rows // 3, height, width)


class UNetBlock(nn.Module):
    """norm, SiLU, conv, + affine(embedding), norm, SiLU, conv, + skip; then attention where asked.

    Args:
        channels: Input and output channels.
        embedding: Width of the noise embedding.
        attention: Adds single-head self-attention.
        resampling: ``up`` or ``down`` resamples both branches.
        taps: The resampling filter.
        dropout: Probability before the second convolution, in training.
    """

    def __init__(
        self,
        channels: tuple[int, int],
        embedding: int,
        *,
        taps: Sequence[int],
        dropout: float,
        attention: bool = False,
        resampling: Literal["up", "down"] | None = None,
    ) -> None:
        super().__init__()
        inputs, outputs = channels
        self.norm0 = group_norm(inputs)
        self.conv0 = _convolution(inputs, outputs, 3, taps, resampling)
        self.affine: nn.Linear | None = xavier(nn.Linear(embedding, outputs))
        self.norm1 = group_norm(outputs)
        self.dropout = nn.Dropout(dropout)
        self.conv1 = xavier(nn.Conv2d(outputs, outputs, 3, padding=1), 1e-5)
        self.skip = _convolution(inputs, outputs, 1, taps, resampling) if inputs != outputs or resampling else None
        self.attend = SelfAttention() if attention else None
        if attention:
            self.norm2 = group_norm(outputs)
            self.qkv = xavier(nn.Conv2d(outputs, 3 * outputs, 1), math.sqrt(0.2))
            self.proj = xavier(nn.Conv2d(outputs, outputs, 1), 1e-5)

    def forward(self, x: Tensor, embedding: Tensor | None) -> Tensor:
        """Return the block's output; without ``affine`` the embedding lies in the first convolution's bias."""
        hidden = self.conv0(functional.silu(self.norm0(x)))
        if self.affine is not None:
            hidden = hidden + self.affine(embedding)[:, :, None, None]
        hidden = self.conv1(self.dropout(functional.silu(self.norm1(hidden))))
        x = (hidden + (x if self.skip is None else self.skip(x))) * _SKIP_SCALE
        if self.attend is not None:
            x = (self.proj(self.attend(self.qkv(self.norm2(x)))) + x) * _SKIP_SCALE
        return x


def _convolution(
    inputs: int, outputs: int, kernel: int, taps: Sequence[int], resampling: Resampling | None
) -> nn.Conv2d:
    if resampling is None:
        return xavier(nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2))
    return xavier(ResampledConv2d(inputs, outputs, kernel, taps, resampling))


class PositionalEmbedding(nn.Module):
    """[sin, cos] of the noise label at frequencies from 1 down to 1e-4, geometrically."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.frequencies = channels // 2

    def forward(self, labels: Tensor) -> Tensor:
        exponent = torch.arange(self.frequencies, dtype=torch.float32, device=labels.device) / (self.frequencies - 1)
        angle = labels.float()[:, None] * torch.pow(1e-4, exponent)
        return torch.cat([angle.sin(), angle.cos()], dim=1)


class FourierEmbedding(nn.Module):
    """[sin, cos] of the noise label at fixed random frequencies (Tancik et al. 2020)."""

    freqs: Tensor

    def __init__(self, channels: int, scale: float = 16.0) -> None:
        super().__init__()
        self.register_buffer("freqs", torch.randn(channels // 2) * scale)

    def forward(self, labels: Tensor) -> Tensor:
        angle = 2 * math.pi * labels.float()[:, None] * self.freqs.float()
        return torch.cat([angle.sin(), angle.cos()], dim=1)
