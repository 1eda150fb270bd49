"""Blur is SciPy's Gaussian filter, of each image's own width."""

import numpy as np
import torch
from scipy.ndimage import gaussian_filter

from purecert.train.augmentation.blur import blur


def test_each_image_has_its_own_gaussian() -> None:
    images = torch.rand(4, 2, 12, 12, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    widths = torch.tensor([0.1, 0.7, 1.3, 2.0])
    found = blur(images, widths, 2.0)
    for image, width, one in zip(images.numpy(), widths.tolist(), found.numpy(), strict=True):
        for channel, blurred in zip(image, one, strict=True):
            expected = gaussian_filter(channel, width, mode="mirror", radius=6)
            np.testing.assert_allclose(blurred, expected, atol=1e-7)


def test_an_image_smaller_than_the_filter_keeps_its_mean() -> None:
    flat = torch.full((2, 1, 4, 4), 0.3)
    torch.testing.assert_close(blur(flat, torch.tensor([0.5, 2.0]), 2.0), flat)
