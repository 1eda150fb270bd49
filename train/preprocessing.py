"""What happens between the purified image and the classifier: range, size, normalisation."""

import math
from dataclasses import dataclass
from typing import Literal, final

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from purecert.train.shapes import Image


@dataclass(frozen=True, kw_only=True, slots=True)
class PreprocessingConfig:
    """The classifier's input, counted from an image on the [0, 1] scale."""

    mean: tuple[float, ...]  # per channel, on the [0, 1] scale
    std: tuple[float, ...]
    size: int | None = None  # height and width of the classifier's input; None keeps the image's
    interpolation: Literal["bilinear", "bicubic"] = "bilinear"
    antialias: bool = False

    def __post_init__(self) -> None:
        if not self.mean or len(self.mean) != len(self.std):
            raise ValueError(f"mean and std need one value per channel each, got {self.mean} and {self.std}")
        if not all(math.isfinite(m) for m in self.mean) or not all(0 < s < math.inf for s in self.std):
            raise ValueError(f"mean must be finite and std > 0, got {self.mean} and {self.std}")
        if self.size is not None and self.size < 1:
            raise ValueError(f"size must be at least 1, got {self.size}")


@final
class Preprocessing(nn.Module):
    """Maps [-1, 1] images to classifier inputs without leaving floating point: no clamp, no rounding to 8 bits.

    (y - mean) / std of y = (x + 1) / 2 is one multiplication and one addition per channel; a resize keeps constants,
    so it may follow them.
    """

    scale: Tensor
    shift: Tensor

    def __init__(self, config: PreprocessingConfig) -> None:
        super().__init__()
        self.config = config
        # Not part of a checkpoint's state: the configuration says it all.
        self.register_buffer("scale", _per_channel([0.5 / s for s in config.std]), persistent=False)
        shift = [(0.5 - m) / s for m, s in zip(config.mean, config.std, strict=True)]
        self.register_buffer("shift", _per_channel(shift), persistent=False)

    def forward(self, clean: Image) -> Float[Tensor, "batch channels size_y size_x"]:
        x = clean * self.scale + self.shift
        if self.config.size is None:
            return x
        size = (self.config.size, self.config.size)
        mode, antialias = self.config.interpolation, self.config.antialias
        return functional.interpolate(x, size, mode=mode, align_corners=False, antialias=antialias)


def _per_channel(values: list[float]) -> Tensor:
    return torch.tensor(values, dtype=torch.float32)[:, None, None]
