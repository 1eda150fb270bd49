"""Changes of colour are those of the standard library and of Pillow."""

import colorsys
from collections.abc import Callable

import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance, ImageOps
from torch import Tensor

from purecert.train.augmentation.colours import brighten, contrast, grey, jitter, saturate, solarize, turn_hue
from purecert.train.fitting.draws import Draws


def _bytes() -> Tensor:
    return torch.from_numpy(np.random.default_rng(0).integers(0, 256, (3, 16, 16)).astype(np.float32))


def _pillow(pixels: Tensor) -> Image.Image:
    return Image.fromarray(pixels.permute(1, 2, 0).to(torch.uint8).numpy())


def _tensor(image: Image.Image) -> Tensor:
    return torch.from_numpy(np.asarray(image, dtype=np.float32)).permute(2, 0, 1)


@pytest.mark.parametrize("turns", [-0.5, -0.1, 0.0, 0.07, 0.5])
def test_hue_turns_as_colorsys_turns_it(turns: float) -> None:
    torch.manual_seed(0)
    images = torch.rand(1, 3, 6, 7, dtype=torch.float64)
    images[:, :, 0] = images[:, :1, 0]  # greys
    images[:, :, 1, :3] = torch.eye(3, dtype=torch.float64)
    found = turn_hue(images, torch.full((1, 1, 1, 1), turns, dtype=torch.float64))
    for row in range(6):
        for column in range(7):
            h, s, v = colorsys.rgb_to_hsv(*images[0, :, row, column].tolist())
            expected = colorsys.hsv_to_rgb((h + turns) % 1, s, v)
            assert found[0, :, row, column].tolist() == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("factor", [0.6, 1.0, 1.4])
@pytest.mark.parametrize(
    ("change", "kind"),
    [(brighten, ImageEnhance.Brightness), (contrast, ImageEnhance.Contrast), (saturate, ImageEnhance.Color)],
    ids=["brightness", "contrast", "saturation"],
)
def test_the_others_are_pillows_up_to_its_rounding(
    change: Callable[[Tensor, Tensor], Tensor], kind: Callable[..., ImageEnhance._Enhance], factor: float
) -> None:
    pixels = _bytes()
    found = change(pixels[None] / 255, torch.full((1, 1, 1, 1), factor))[0] * 255
    expected = _tensor(kind(_pillow(pixels)).enhance(factor))
    assert float((found - expected).abs().max()) <= 2


def test_grey_and_inverted_images_are_pillows() -> None:
    pixels = _bytes()
    expected = _tensor(_pillow(pixels).convert("L").convert("RGB"))
    assert float((grey(pixels[None])[0] - expected).abs().max()) <= 1
    inverted = solarize(pixels[None] / 255)[0] * 255
    torch.testing.assert_close(inverted, _tensor(ImageOps.solarize(_pillow(pixels))), atol=1e-3, rtol=0)


def test_one_channel_has_neither_saturation_nor_hue() -> None:
    images = torch.rand(8, 1, 4, 4)
    assert torch.equal(jitter(images, Draws(0, 8), (0.0, 0.0, 0.9, 0.5)), images)
    assert torch.equal(grey(images), images)


def test_every_row_has_its_own_factors_within_the_bounds() -> None:
    images = torch.full((500, 1, 1, 1), 0.5)
    found = jitter(images, Draws(0, 500), (0.4, 0.0, 0.0, 0.0)).flatten()
    assert len(found.unique()) > 450
    assert 0.3 <= float(found.min()) < 0.31
    assert 0.69 < float(found.max()) <= 0.7
