"""Random boxes of images, enlarged to the size of the whole, and random mirroring."""

import math

import torch
from jaxtyping import Int
from torch import Tensor
from torch.nn import functional

from purecert.train.fitting.draws import Draws
from purecert.train.shapes import Image

Boxes = Int[Tensor, "batch 4"]  # top, left, height, width in pixels

_TRIES = 10  # for a box that fits into the image
_RATIOS = (3 / 4, 4 / 3)  # width over height of a box


def crop_and_enlarge(images: Image, draws: Draws, least: float) -> Image:
    """Return a random box of each image, bilinearly enlarged: Inception's augmentation (Szegedy et al. 2015, sec. 6).

    Args:
        images: Square.
        draws: Random numbers.
        least: The smallest share of an image's area that a box may have; the largest is 1.
    """
    return enlarge(images, draw_boxes(images.shape[-1], draws, least).to(images.device))


def draw_boxes(size: int, draws: Draws, least: float) -> Boxes:
    """Return one box for each row inside of a square of ``size`` pixels.

    Its share of the area is uniform in [least, 1], the logarithm of width over height uniform between those of 3/4
    and 4/3. The first of ten tries that fits is taken, the whole image where none does; its place is uniform.
    """
    area = size**2 * (least + (1 - least) * draws.uniform(_TRIES))
    low, high = map(math.log, _RATIOS)
    ratio = torch.exp(low + (high - low) * draws.uniform(_TRIES))
    extents = torch.stack([(area / ratio).sqrt(), (area * ratio).sqrt()], dim=2).round().long()
    fits = ((extents >= 1) & (extents <= size)).all(dim=2)
    first = fits.int().argmax(dim=1)
    extent = extents[torch.arange(len(extents)), first]
    extent = torch.where(fits.any(dim=1, keepdim=True), extent, size)
    place = (draws.uniform(2) * (size - extent + 1)).long()
    return torch.cat([place.minimum(size - extent), extent], dim=1)


def enlarge(images: Image, boxes: Boxes) -> Image:
    """Return each box as an image of the whole's size; pixels beyond a box's border are those on it."""
    size = images.shape[-1]
    centres = (torch.arange(size, device=images.device, dtype=images.dtype) + 0.5) / size
    start, extent = boxes[:, :2, None].to(images), boxes[:, 2:, None].to(images)
    places = start + (centres * extent - 0.5).clamp(min=0).minimum(extent - 1)  # [batch, 2, size], in pixels
    rows, columns = (places * (2 / max(1, size - 1)) - 1).unbind(1)
    grid = torch.stack([columns[:, None, :].expand(-1, size, -1), rows[:, :, None].expand(-1, -1, size)], dim=3)
    return functional.grid_sample(images, grid, align_corners=True, padding_mode="border")


def mirror_half(images: Image, draws: Draws) -> Image:
    """Return the images with left and right exchanged in half of them."""
    return torch.where(chosen(draws, 0.5, images), images.flip(3), images)


def chosen(draws: Draws, share: float, images: Image) -> Tensor:
    """Return a mask [batch, 1, 1, 1] that is true in a row with probability ``share``."""
    return (draws.uniform(1, 1, 1) < share).to(images.device)
