"""Pictures of what a network does: rows of images as one PNG, drawn from addressed noise."""

import io
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor

from purecert.engine.errors import BackendError
from purecert.engine.files.canonical import write_atomically
from purecert.train.fitting.draws import Draws
from purecert.train.purifiers.base import Purifier
from purecert.train.shapes import Image

Row = tuple[str, Image]  # what the row shows, and its images on the [-1, 1] scale

_SIDE = 48  # pixels that an image has at least; smaller ones are enlarged by whole factors
_GAP = 2
_CAPTION = 96  # pixels left of each row


@torch.no_grad()
def purification_rows(purifier: Purifier, clean: Image, sigmas: Sequence[float], draws: Draws) -> list[Row]:
    """Return the clean images, then for each sigma the noisy and the purified ones; one noise image serves all sigmas.

    Args:
        purifier: In eval mode, on the device of ``clean`` and ``draws``.
        clean: Images [rows, C, H, W] on the [-1, 1] scale.
        sigmas: Noise std in [0, 1] pixel units.
        draws: Random numbers for as many rows as ``clean`` has.

    Raises:
        InputError: The purifier was not made for a sigma.
    """
    rows: list[Row] = [("clean", clean)]
    noise = draws.normal(*clean.shape[1:])
    for sigma in sigmas:
        noisy = clean + 2 * sigma * noise
        rows.append((f"sigma {sigma:g}", noisy))
        rows.append(("purified", _purified(purifier, noisy, sigma, draws)))
    return rows


@torch.no_grad()
def sample_rows(
    purifier: Purifier, shape: tuple[int, int, int], sigma: float, draws: Draws, count: int = 1
) -> list[Row]:
    """Return ``count`` rows of what the purifier makes of noise alone: samples, where sigma is its largest.

    Args:
        purifier: In eval mode, on the device of ``draws``.
        shape: Channels, height and width of an image.
        sigma: Noise std in [0, 1] pixel units; half the largest time of a consistency model.
        draws: Random numbers for as many images as a row is to have.
        count: Rows.
    """
    return [
        (f"samples {i + 1}", _purified(purifier, 2 * sigma * draws.normal(*shape), sigma, draws)) for i in range(count)
    ]


def _purified(purifier: Purifier, noisy: Image, sigma: float, draws: Draws) -> Image:
    noises = [draws.normal(k, *noisy.shape[1:]) for k in purifier.noise_inputs(sigma)]
    cleaned: Image = purifier(noisy, sigma, noises)
    return cleaned


def check_drawing() -> None:
    """Refuse to go on where no picture can be drawn.

    Raises:
        BackendError: Pillow is not installed.
    """
    if find_spec("PIL") is None:
        raise BackendError("pictures are drawn by Pillow, which is absent; pip install 'purecert[train]'")


def write_grid(rows: Sequence[Row], path: Path) -> None:
    """Write the rows as a PNG, a caption left of each; values outside of [-1, 1] are clipped.

    Args:
        rows: At least one; images of one shape, with 1 or 3 channels.
        path: The file, which is replaced.

    Raises:
        BackendError: Pillow is not installed.
        ValueError: There are no images, or of several shapes.
    """
    if len({tuple(images.shape[1:]) for _, images in rows}) != 1:
        raise ValueError("a grid needs images of one shape")
    check_drawing()
    from PIL import Image as Picture
    from PIL import ImageDraw

    strips = [_strip(images) for _, images in rows]
    width = max(strip.shape[1] for strip in strips)
    heights = [strip.shape[0] for strip in strips]
    page = Picture.new("RGB", (_CAPTION + width, sum(heights)), "white")
    pen, top = ImageDraw.Draw(page), 0
    for (caption, _), strip in zip(rows, strips, strict=True):
        page.paste(Picture.fromarray(strip.numpy()), (_CAPTION, top))
        pen.text((4, top + strip.shape[0] // 2 - 6), caption, fill="black")
        top += strip.shape[0]
    buffer = io.BytesIO()
    page.save(buffer, "PNG")
    write_atomically(path, buffer.getvalue())


def _strip(images: Image) -> Tensor:
    """Return images side by side as one RGB picture [height, width, 3] of bytes, with white gaps."""
    levels = ((images.detach().float().cpu() + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
    factor = max(1, -(-_SIDE // levels.shape[-1]))
    large = levels.repeat_interleave(factor, -1).repeat_interleave(factor, -2)
    colours = large.expand(-1, 3, -1, -1) if large.shape[1] == 1 else large
    rows, _, height, width = colours.shape
    strip = torch.full((height + _GAP, rows * (width + _GAP), 3), 255, dtype=torch.uint8)
    for i, picture in enumerate(colours):
        strip[:height, i * (width + _GAP) : i * (width + _GAP) + width] = picture.permute(1, 2, 0)
    return strip
