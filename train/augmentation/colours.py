"""Random changes of colour and brightness, on images in [0, 1] of one channel or of red, green and blue."""

from collections.abc import Callable, Sequence
from itertools import permutations
from typing import TypeAlias

import torch
from torch import Tensor

from purecert.train.fitting.draws import Draws
from purecert.train.shapes import Image

Change: TypeAlias = Callable[[Image, Tensor], Image]

_LUMA = (0.2989, 0.587, 0.114)  # how bright red, green and blue are (ITU-R BT.601)
_SOLAR = 128 / 255  # from here on a pixel is inverted


def jitter(images: Image, draws: Draws, bounds: tuple[float, float, float, float]) -> Image:
    """Return the images with brightness, contrast, saturation and hue changed, in an order drawn for the batch.

    Args:
        images: In [0, 1].
        draws: Random numbers.
        bounds: b, c, s, h: the first three are multiplied by factors uniform in [1 - b, 1 + b] and so on; h turns the
            hue by at most so many turns, either way. One channel has neither saturation nor hue.
    """
    changes: Sequence[Change] = (brighten, contrast, saturate, turn_hue)
    orders = list(permutations(range(len(changes))))
    order = orders[draws.shared_integer(len(orders))]
    uniform = draws.uniform(len(changes)) * 2 - 1
    amounts = [uniform[:, i] * bound + (0.0 if changes[i] is turn_hue else 1.0) for i, bound in enumerate(bounds)]
    for index in order:
        if images.shape[1] == 3 or changes[index] in (brighten, contrast):
            images = changes[index](images, amounts[index].to(images)[:, None, None, None])
    return images


def brighten(images: Image, factor: Tensor) -> Image:
    """Return the images times ``factor`` [batch, 1, 1, 1], in [0, 1]."""
    return (images * factor).clamp(0, 1)


def contrast(images: Image, factor: Tensor) -> Image:
    """Return the images' distance from the mean of their grey values times ``factor``, in [0, 1]."""
    mean = grey(images)[:, :1].mean(dim=(1, 2, 3), keepdim=True)
    return (mean + (images - mean) * factor).clamp(0, 1)


def saturate(images: Image, factor: Tensor) -> Image:
    """Return the images' distance from their grey values times ``factor``, in [0, 1]."""
    without = grey(images)
    return (without + (images - without) * factor).clamp(0, 1)


def turn_hue(images: Image, turns: Tensor) -> Image:
    """Return RGB images whose hue is turned by ``turns`` in [-.5, .5] turns; value and saturation in HSV stay.

    With v the largest and d v's distance to the smallest of the channels, a colour of hue h has the channels
    v - d max(0, min(k, 4 - k, 1)), k = (n + 6 h) mod 6, n = 5, 3, 1 (Foley and van Dam's hexcone, in closed form).
    """
    value, spread = (
        images.amax(dim=1, keepdim=True),
        images.amax(dim=1, keepdim=True) - images.amin(dim=1, keepdim=True),
    )
    sixths = _hue(images, value, spread) + 6 * turns
    offsets = torch.tensor([5.0, 3.0, 1.0], device=images.device, dtype=images.dtype)[None, :, None, None]
    k = (offsets + sixths) % 6
    return value - spread * torch.minimum(k, 4 - k).clamp(0, 1)


def _hue(images: Image, value: Tensor, spread: Tensor) -> Tensor:
    """Return the hue in sixths of a turn; 0 for greys."""
    red, green, blue = images[:, :1], images[:, 1:2], images[:, 2:]
    safe = spread.clamp(min=torch.finfo(images.dtype).tiny)
    of_green, of_blue = (blue - red) / safe + 2, (red - green) / safe + 4
    hue = torch.where(value == red, (green - blue) / safe, torch.where(value == green, of_green, of_blue))
    return torch.where(spread > 0, hue, 0.0)


def grey(images: Image) -> Image:
    """Return the images without colour, in as many channels; one channel stays as it is."""
    if images.shape[1] != len(_LUMA):
        return images
    weights = torch.tensor(_LUMA, device=images.device, dtype=images.dtype)[None, :, None, None]
    return (images * weights).sum(dim=1, keepdim=True).expand_as(images)


def solarize(images: Image) -> Image:
    """Return the images with every value of at least 128/255 inverted."""
    return torch.where(images >= _SOLAR, 1 - images, images)
