"""The parts of the ADM network family: residual block, attention, resampling and the time embedding.

Written from Nichol and Dhariwal 2021, Dhariwal and Nichol 2021 (ADM) and Song et al. 2023, app. C; attribute names
are the keys of the published checkpoints, so that these load strictly.
"""

from typing import Literal, TypeVar

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from purecert.train.shapes import Image

NORM_GROUPS = 32

QkvOrder = Literal["three-heads-dim", "heads-three-dim"]
Direction = Literal["up", "down"]
Layer = TypeVar("Layer", bound=nn.Conv1d | nn.Conv2d)


def group_norm(channels: int) -> nn.GroupNorm:
    """Return the family's normalisation, whose groups are 32 at every width."""
    return nn.GroupNorm(NORM_GROUPS, channels, eps=1e-5)


def zeroed(module: Layer) -> Layer:
    """Return the module with weights at zero, so that its branch starts as the identity."""
    for parameter in module.parameters():
        nn.init.zeros_(parameter)
    return module


def sinusoids(times: Float[Tensor, " rows"], channels: int) -> Float[Tensor, "rows {channels}"]:
    """Return [cos, sin] of the times at frequencies from 1 down to almost 1e-4, geometrically, in FP32."""
    half = channels // 2
    # Over half, not half - 1 as in the SongUNet family: 1e-4 itself is not reached.
    exponent = torch.arange(half, dtype=torch.float32, device=times.device) / half
    angle = times.float()[:, None] * torch.pow(1e-4, exponent)
    return torch.cat([angle.cos(), angle.sin()], dim=1)


def resample(x: Image, direction: Direction) -> Float[Tensor, "batch channels new_height new_width"]:
    """Return the image at half size, by means of 2x2 pixels, or at double size, by repeating pixels."""
    if direction == "down":
        return functional.avg_pool2d(x, 2)
    return functional.interpolate(x, scale_factor=2.0, mode="nearest")


class Downsample(nn.Module):
    """Halves an image, by a convolution of stride 2 or by means."""

    def __init__(self, channels: int, *, convolution: bool) -> None:
        super().__init__()
        self.op = nn.Conv2d(channels, channels, 3, stride=2, padding=1) if convolution else nn.AvgPool2d(2)

    def forward(self, x: Image) -> Float[Tensor, "batch channels new_height new_width"]:
        halved: Tensor = self.op(x)
        return halved


class Upsample(nn.Module):
    """Doubles an image by repeating pixels, with a convolution after it or without."""

    def __init__(self, channels: int, *, convolution: bool) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1) if convolution else nn.Identity()

    def forward(self, x: Image) -> Float[Tensor, "batch channels new_height new_width"]:
        doubled: Tensor = self.conv(resample(x, "up"))
        return doubled


class AdmAttention(nn.Module):
    """x plus the softmax attention over its pixels.

    Args:
        channels: Width of the image.
        heads: Divides ``channels``.
        order: How the rows of queries, keys and values are laid out. Checkpoints in the order (three, heads, dim)
            hold their projections as 1x1 convolutions of images, those in (heads, three, dim) as ones of sequences.
    """

    def __init__(self, channels: int, heads: int, order: QkvOrder) -> None:
        super().__init__()
        self.heads = heads
        self.order = order
        convolution = nn.Conv2d if order == "three-heads-dim" else nn.Conv1d
        self.norm = group_norm(channels)
        self.qkv = convolution(channels, 3 * channels, 1)
        self.proj_out = zeroed(convolution(channels, channels, 1))

    def forward(self, x: Image) -> Image:
        hidden = self.norm(x)
        if self.order == "heads-three-dim":
            hidden = hidden.flatten(2)
        query, key, value = self._split(self.qkv(hidden))
        mixed = functional.scaled_dot_product_attention(query, key, value)
        projected: Tensor = self.proj_out(mixed.transpose(2, 3).reshape(hidden.shape))
        return x + projected.reshape(x.shape)

    def _split(self, rows: Tensor) -> tuple[Tensor, ...]:
        """Return queries, keys and values, each [batch, heads, pixels, dim]."""
        batch, dim = rows.shape[0], rows.shape[1] // (3 * self.heads)
        if self.order == "three-heads-dim":
            return rows.reshape(batch, 3, self.heads, dim, -1).transpose(3, 4).unbind(1)
        return rows.reshape(batch, self.heads, 3, dim, -1).transpose(3, 4).unbind(2)


class AdmResBlock(nn.Module):
    """norm, SiLU, conv, norm modulated by the embedding, SiLU, conv, + skip.

    Args:
        channels: Input and output channels.
        embedding: Width of the embedding.
        scale_shift: The embedding scales and shifts what the second norm returns; otherwise it is added before it.
        dropout: Probability before the second convolution, in training.
        resampling: Resamples both branches before the first convolution.
    """

    def __init__(
        self,
        channels: tuple[int, int],
        embedding: int,
        *,
        scale_shift: bool,
        dropout: float = 0.0,
        resampling: Direction | None = None,
    ) -> None:
        super().__init__()
        inputs, outputs = channels
        self.scale_shift = scale_shift
        self.resampling = resampling
        self.in_layers = nn.Sequential(group_norm(inputs), nn.SiLU(), nn.Conv2d(inputs, outputs, 3, padding=1))
        # None where the effect of one fixed embedding already lies in the layers around it.
        self.emb_layers: nn.Sequential | None = nn.Sequential(
            nn.SiLU(), nn.Linear(embedding, 2 * outputs if scale_shift else outputs)
        )
        last = zeroed(nn.Conv2d(outputs, outputs, 3, padding=1))
        self.out_layers = nn.Sequential(group_norm(outputs), nn.SiLU(), nn.Dropout(dropout), last)
        self.skip_connection = nn.Identity() if inputs == outputs else nn.Conv2d(inputs, outputs, 1)

    def modulation(self, embedding: Float[Tensor, "rows features"]) -> Float[Tensor, "rows modulated"]:
        """Return scale and shift of every channel, scales first, or the shift alone without ``scale_shift``.

        Raises:
            ValueError: The block has no embedding layers any more.
        """
        if self.emb_layers is None:
            raise ValueError("this block's embedding is folded away: it has no modulation of its own")
        modulation: Tensor = self.emb_layers(embedding)
        return modulation

    def forward(self, x: Image, embedding: Float[Tensor, "rows features"] | None) -> Tensor:
        hidden = self.in_layers[1](self.in_layers[0](x))
        if self.resampling is not None:
            hidden, x = resample(hidden, self.resampling), resample(x, self.resampling)
        hidden = self._modulate(self.in_layers[2](hidden), embedding)
        for layer in list(self.out_layers)[1:]:
            hidden = layer(hidden)
        output: Tensor = self.skip_connection(x) + hidden
        return output

    def _modulate(self, hidden: Tensor, embedding: Tensor | None) -> Tensor:
        """Return the second norm of ``hidden`` under the embedding."""
        norm = self.out_layers[0]
        if self.emb_layers is None:
            normalised: Tensor = norm(hidden)
            return normalised
        if embedding is None:
            raise ValueError("this block needs an embedding")
        modulation = self.modulation(embedding)[:, :, None, None]
        if not self.scale_shift:
            normalised = norm(hidden + modulation)
            return normalised
        scale, shift = modulation.chunk(2, dim=1)
        normalised = norm(hidden)
        return normalised * (1 + scale) + shift
