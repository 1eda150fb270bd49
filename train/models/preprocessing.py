"""What happens between the purified image and the classifier: range, size, normalisation."""

import math
from dataclasses import dataclass
from typing import Literal, final

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from purecert.engine.noise.contract import GREY_LEVELS
from purecert.train.shapes import Image

_LARGEST = 1e6

ClassifierInput = Float[Tensor, "batch channels size_y size_x"]


@dataclass(frozen=True, kw_only=True, slots=True)
class PreprocessingConfig:
    """The classifier's input, counted from an image on the [0, 1] scale."""

    mean: tuple[float, ...]  # per channel, on the [0, 1] scale
    std: tuple[float, ...]
    size: int | None = None  # height and width of the classifier's input; None keeps the image's
    interpolation: Literal["bilinear", "bicubic"] = "bilinear"
    antialias: bool = False
    crop: tuple[int, int] | None = None  # after the resize: the first row and column that is seen, and how many

    def __post_init__(self) -> None:
        if not self.mean or len(self.mean) != len(self.std):
            raise ValueError(f"mean and std need one value per channel each, got {self.mean} and {self.std}")
        if not all(math.isfinite(m) for m in self.mean) or not all(0 < s < math.inf for s in self.std):
            raise ValueError(f"mean must be finite and std > 0, got {self.mean} and {self.std}")
        # Networks compute in FP32: beyond, their constants would be no numbers.
        if not all(abs(m) <= _LARGEST for m in self.mean) or not all(1 / _LARGEST <= s <= _LARGEST for s in self.std):
            raise ValueError(
                f"expected mean of at most {_LARGEST:g} and std in [{1 / _LARGEST:g}, {_LARGEST:g}], "
                f"got {self.mean} and {self.std}"
            )
        if self.size is not None and self.size < 1:
            raise ValueError(f"size must be at least 1, got {self.size}")
        if self.crop is not None and not (self.crop[0] >= 0 and self.crop[1] >= 1):
            raise ValueError(f"a crop needs a first row of at least 0 and 1 row, got {self.crop}")

    def affine(self) -> tuple[list[float], list[float]]:
        """Return per channel scale and shift of (y - mean) / std for y = (x + 1) / 2."""
        shift = [(0.5 - m) / s for m, s in zip(self.mean, self.std, strict=True)]
        return [0.5 / s for s in self.std], shift


class _Affine(nn.Module):
    """The normalisation's constants; not part of a checkpoint's state, since the configuration says it all."""

    scale: Tensor
    shift: Tensor

    def __init__(self, config: PreprocessingConfig) -> None:
        super().__init__()
        self.config = config
        for name, values in zip(("scale", "shift"), config.affine(), strict=True):
            self.register_buffer(name, torch.tensor(values, dtype=torch.float32)[:, None, None], persistent=False)


@final
class Preprocessing(_Affine):
    """Kind ``fast``: [-1, 1] images to classifier inputs without leaving floating point: no clamp, no rounding.

    Both steps are linear and a resize keeps constants, so the normalisation may come first, on fewer pixels.
    """

    def forward(self, clean: Image) -> ClassifierInput:
        return resize(clean * self.scale + self.shift, self.config)


@final
class ExactPreprocessing(_Affine):
    """Kind ``exact``: as ``fast``, but the image first becomes whole grey levels, towards zero and without a clamp.

    The official code of Consistency Purification casts (x + 1) / 2 * 255 to integers and resizes what remains.
    """

    def forward(self, clean: Image) -> ClassifierInput:
        levels = ((clean + 1) / 2 * float(GREY_LEVELS)).trunc()
        return resize(levels / float(GREY_LEVELS) * 2 - 1, self.config) * self.scale + self.shift


def resize(x: Image, config: PreprocessingConfig) -> ClassifierInput:
    """Return what the classifier sees of ``x``, at its size."""
    if config.size is not None:
        size, mode = (config.size, config.size), config.interpolation
        x = functional.interpolate(x, size, mode=mode, align_corners=False, antialias=config.antialias)
    return x if config.crop is None else _cropped(x, config.crop)


def _cropped(x: Image, crop: tuple[int, int]) -> ClassifierInput:
    first, count = crop
    if first + count > min(x.shape[2:]):  # a slice would give fewer
        raise ValueError(f"a crop of {count} pixels from {first} needs more than images of {list(x.shape[2:])}")
    return x[:, :, first : first + count, first : first + count]
