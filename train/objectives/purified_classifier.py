"""Classifier fine-tuning: on what a frozen purifier makes of noisy images (Li et al. 2024, table 7)."""

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor, nn

from purecert.train.fitting.draws import Batch
from purecert.train.objectives.noisy_classifier import cross_entropy
from purecert.train.objectives.objective import Objective
from purecert.train.objectives.sigmas import Sigmas, add_noise
from purecert.train.purifiers.base import Purifier
from purecert.train.purifiers.each import purify_each
from purecert.train.shapes import Image, PixelNoise
from purecert.train.strict.frozen import check_frozen


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class PurifiedClassifierObjective(Objective):
    """The cross entropy of a classifier on purified noisy images, and on a share of clean ones."""

    classifier: nn.Module
    preprocessing: nn.Module
    purifier: Purifier  # frozen
    sigmas: Sigmas
    clean_share: float = 0.0  # of the images, left without noise and purifier; each image draws whether it is one
    label_smoothing: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.clean_share < 1:
            raise ValueError(f"clean_share must be in [0, 1), got {self.clean_share}")
        check_frozen(self.purifier, "the purifier")

    def __call__(self, batch: Batch) -> Tensor:
        noise = batch.draws.normal(*batch.images.shape[1:])
        purified = purified_images(self.purifier, batch.images, noise, self.sigmas.draw(batch.draws))
        is_clean = batch.draws.uniform() < self.clean_share
        seen = torch.where(is_clean[:, None, None, None], batch.images, purified)
        return cross_entropy(self.classifier(self.preprocessing(seen)), batch.labels, self.label_smoothing)


@torch.no_grad()
def purified_images(purifier: Purifier, clean: Image, noise: Image, sigmas: PixelNoise) -> Image:
    """Return D(x + 2 sigma z) without a gradient, the input of the classifier in -log f(D(x + 2 sigma z))[label].

    Args:
        purifier: D.
        clean: Images x on the [-1, 1] scale.
        noise: Standard normal z.
        sigmas: Noise std of each image in [0, 1] pixel units.
    """
    return purify_each(purifier, add_noise(clean, noise, sigmas), sigmas)
