"""Gaussian blur, of another width for each image."""

import math

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from purecert.train.shapes import Image

Widths = Float[Tensor, " batch"]

_REACH = 3  # standard deviations, beyond which the filter is cut


def blur(images: Image, sigmas: Widths, most: float) -> Image:
    """Return each image blurred by a Gaussian of its own standard deviation, in pixels; mirrored beyond the border.

    Args:
        images: Of at least ``3 most + 1`` pixels a side, or the filter is cut sooner.
        sigmas: > 0 and at most ``most``.
        most: Decides how far all filters reach.
    """
    reach = min(math.ceil(_REACH * most), images.shape[-1] - 1)
    steps = torch.arange(-reach, reach + 1, device=images.device, dtype=images.dtype)
    weights = torch.exp(-0.5 * (steps / sigmas.to(images)[:, None]) ** 2)
    weights = weights / weights.sum(dim=1, keepdim=True)
    batch, channels = images.shape[:2]
    filters = weights.repeat_interleave(channels, dim=0)[:, None]  # one for each channel of each image
    rows = functional.pad(images, (reach,) * 4, mode="reflect").flatten(0, 1)[None]
    groups = batch * channels
    across = functional.conv2d(rows, filters[:, :, None, :], groups=groups)
    both = functional.conv2d(across, filters[:, :, :, None], groups=groups)
    return both.reshape(images.shape)
