"""Consistency fine-tuning: what a purifier makes of a noisy image is drawn to the clean one."""

from dataclasses import dataclass
from typing import final

from torch import Tensor

from purecert.train.distances.pixels import Distance
from purecert.train.fitting.draws import Batch
from purecert.train.objectives.objective import Objective
from purecert.train.objectives.sigmas import Sigmas, add_noise
from purecert.train.purifiers.base import OneStepPurifier
from purecert.train.purifiers.each import purify_each
from purecert.train.shapes import Image, PixelNoise


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class FineTuningObjective(Objective):
    """The distance of a purified image to its clean one; no teacher, no target (Li et al. 2024).

    The purifier is trained: a consistency model as in the paper, or an EDM denoiser, which the paper does not try.
    """

    purifier: OneStepPurifier
    sigmas: Sigmas
    distance: Distance

    def __call__(self, batch: Batch) -> Tensor:
        sigmas = self.sigmas.draw(batch.draws)
        noise = batch.draws.normal(*batch.images.shape[1:])
        return fine_tuning_loss(self.purifier, batch.images, noise, sigmas, self.distance)


def fine_tuning_loss(
    purifier: OneStepPurifier, clean: Image, noise: Image, sigmas: PixelNoise, distance: Distance
) -> Tensor:
    """Return the mean of d(x, D(x + 2 sigma z, t*(sigma))), consistency fine-tuning (Li et al. 2024).

    Args:
        purifier: D with its rule for the time t*.
        clean: Images x on the [-1, 1] scale.
        noise: Standard normal z.
        sigmas: Noise std of each image in [0, 1] pixel units; the factor 2 brings it to the images' scale.
        distance: d.
    """
    return distance(clean, purify_each(purifier, add_noise(clean, noise, sigmas), sigmas)).mean()
