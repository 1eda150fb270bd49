"""The views of MoCo v3 (Chen et al. 2021, arXiv 2104.02057, after BYOL), which rRCM's pre-training compares."""

from dataclasses import dataclass

import torch

from purecert.train.augmentation.blur import blur
from purecert.train.augmentation.colours import grey, jitter, solarize
from purecert.train.augmentation.crops import chosen, crop_and_enlarge, mirror_half
from purecert.train.fitting.draws import Draws
from purecert.train.shapes import Image


@dataclass(frozen=True, kw_only=True, slots=True)
class MocoView:
    """One random view of an image: a box of it, its colours changed, blurred, inverted where bright, mirrored.

    Crops are drawn as Inception's. The colours' order of change is one for the batch; in the papers, each image has
    its own. The blur is a true Gaussian, where Pillow's is made of boxes.
    """

    least_area: float = 0.08
    jitter: tuple[float, float, float, float] = (0.4, 0.4, 0.2, 0.1)  # brightness, contrast, saturation, hue
    jitter_share: float = 0.8
    grey_share: float = 0.2
    blur_share: float = 1.0
    blur_widths: tuple[float, float] = (0.1, 2.0)  # pixels, standard deviation
    solarize_share: float = 0.0

    def __post_init__(self) -> None:
        shares = (self.jitter_share, self.grey_share, self.blur_share, self.solarize_share)
        if not all(0 <= share <= 1 for share in shares) or not 0 < self.least_area <= 1:
            raise ValueError(f"shares must be in [0, 1] and least_area in (0, 1], got {shares} and {self.least_area}")
        if not 0 < self.blur_widths[0] <= self.blur_widths[1] < float("inf"):
            raise ValueError(f"blur_widths must rise from above 0, got {self.blur_widths}")
        if not all(0 <= bound <= 1 for bound in self.jitter) or self.jitter[3] > 0.5:
            raise ValueError(f"jitter must be in [0, 1], and at most .5 for the hue, got {self.jitter}")

    def apply(self, images: Image, draws: Draws) -> Image:
        """Return a view of each image, on the [-1, 1] scale as ``images`` are."""
        x = crop_and_enlarge((images + 1) / 2, draws, self.least_area)
        x = torch.where(chosen(draws, self.jitter_share, x), jitter(x, draws, self.jitter), x)
        x = torch.where(chosen(draws, self.grey_share, x), grey(x), x)
        low, high = self.blur_widths
        widths = low + (high - low) * draws.uniform()
        x = torch.where(chosen(draws, self.blur_share, x), blur(x, widths, high), x)
        x = torch.where(chosen(draws, self.solarize_share, x), solarize(x), x)
        return mirror_half(x, draws) * 2 - 1


@dataclass(frozen=True, kw_only=True, slots=True)
class MocoViews:
    """The image itself, mirrored in half the rows, and two views of it, which differ in blur and inversion."""

    first: MocoView = MocoView()
    second: MocoView = MocoView(blur_share=0.1, solarize_share=0.2)

    def __call__(self, images: Image, draws: Draws) -> tuple[Image, Image, Image]:
        """Return plain images and both views, all on the [-1, 1] scale, in FP32 whatever autocast says."""
        with torch.autocast(images.device.type, enabled=False):  # bf16 rounds pixels by more than the lowest noise
            return mirror_half(images, draws), self.first.apply(images, draws), self.second.apply(images, draws)
