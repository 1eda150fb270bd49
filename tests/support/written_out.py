"""Equations of training in plain Python loops over float64 numbers: references that share no code with the losses.

An image is a list of channels, each a list of its pixels. The network is small enough to be written out as well.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from purecert.train.fitting.draws import Batch, Draws

Pixels = list[list[float]]  # channels, pixels


class TinyNetwork(nn.Module):
    """tanh of a mix of the channels, scaled by a time input: a network whose answer is a line of Python."""

    def __init__(self, seed: int = 0, channels: int = 2) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.mix = nn.Parameter(torch.randn(channels, channels, generator=generator, dtype=torch.float64))
        self.slope = nn.Parameter(torch.randn(channels, generator=generator, dtype=torch.float64))

    def forward(self, x: Tensor, label: Tensor) -> Tensor:
        mixed = torch.einsum("ck,bkhw->bchw", self.mix, x)
        return torch.tanh(mixed + self.slope[None, :, None, None] * label[:, None, None, None])


class TinyClassifier(nn.Module):
    """Logits from the mean of each channel and from its mean square."""

    def __init__(self, seed: int = 0, channels: int = 2, classes: int = 3) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.weight = nn.Parameter(torch.randn(classes, 2 * channels, generator=generator, dtype=torch.float64))

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x.mean(dim=(2, 3)), x.square().mean(dim=(2, 3))], dim=1) @ self.weight.T


def batch_of(rows: int = 3, seed: int = 0, channels: int = 2, size: int = 2) -> Batch:
    """Return float64 images of ``size`` x ``size`` pixels with labels; its draws begin at ``seed``."""
    generator = torch.Generator().manual_seed(100 + seed)
    images = torch.rand(rows, channels, size, size, generator=generator, dtype=torch.float64) * 2 - 1
    return Batch(images=images, labels=torch.arange(rows) % 3, step=0, draws=Draws(seed, rows))


def pixels_of(image: Tensor) -> Pixels:
    """Return one image [C, H, W] as numbers."""
    return [[float(v) for v in channel] for channel in image.detach().flatten(1).tolist()]


def plus(x: Pixels, factor: float, z: Pixels) -> Pixels:
    """Return x + factor z."""
    return [[a + factor * b for a, b in zip(p, q, strict=True)] for p, q in zip(x, z, strict=True)]


def network(net: TinyNetwork, x: Pixels, label: float) -> Pixels:
    """Return the tiny network's answer."""
    mix, slope = net.mix.tolist(), net.slope.tolist()
    return [
        [math.tanh(sum(mix[c][k] * x[k][p] for k in range(len(x))) + slope[c] * label) for p in range(len(x[0]))]
        for c in range(len(x))
    ]


def denoised(net: TinyNetwork, x: Pixels, t: float, sigma_data: float, t_min: float) -> Pixels:
    """Return D(x, t) of Karras et al. 2022, table 1, or with t_min > 0 of Song et al. 2023, appendix C."""
    skip = sigma_data**2 / ((t - t_min) ** 2 + sigma_data**2)
    out = sigma_data * (t - t_min) / math.sqrt(sigma_data**2 + t**2)
    scale = 1 / math.sqrt(sigma_data**2 + t**2)
    raw = network(net, [[scale * v for v in channel] for channel in x], math.log(t) / 4)
    return [[skip * a + out * b for a, b in zip(p, q, strict=True)] for p, q in zip(x, raw, strict=True)]


def logits(net: TinyClassifier, x: Pixels) -> list[float]:
    """Return the tiny classifier's answer."""
    features = [sum(c) / len(c) for c in x] + [sum(v * v for v in c) / len(c) for c in x]
    return [sum(w * f for w, f in zip(row, features, strict=True)) for row in net.weight.tolist()]


def softmax(values: Sequence[float]) -> list[float]:
    """Return exp(v) over their sum."""
    total = sum(math.exp(v) for v in values)
    return [math.exp(v) / total for v in values]


def mean_square(a: Pixels, b: Pixels) -> float:
    """Return the mean squared difference."""
    values = [(u - v) ** 2 for p, q in zip(a, b, strict=True) for u, v in zip(p, q, strict=True)]
    return sum(values) / len(values)


def mean_absolute(a: Pixels, b: Pixels) -> float:
    """Return the mean absolute difference."""
    values = [abs(u - v) for p, q in zip(a, b, strict=True) for u, v in zip(p, q, strict=True)]
    return sum(values) / len(values)


def hypotenuse(a: Pixels, b: Pixels) -> float:
    """Return the pseudo-Huber distance with the published width."""
    count = len(a) * len(a[0])
    width = 0.00054 * math.sqrt(count)
    return math.sqrt(mean_square(a, b) * count + width**2) - width


def untouched(*modules: nn.Module) -> bool:
    """Return whether no gradient has reached any of the modules' parameters."""
    return all(p.grad is None for module in modules for p in module.parameters())


def reached(module: nn.Module) -> bool:
    """Return whether a gradient has reached every parameter of a module."""
    return all(p.grad is not None and bool(p.grad.any()) for p in module.parameters())
