"""Calibrated denoiser fine-tuning: a denoiser that keeps the confidence of a classifier honest. Our reading.

Jeong and Shin 2023 fine-tune a diffusion model so that it denoises consistently where the image can be recovered and
gives diverse images where it cannot; Li et al. 2024 compare with it as diffusion calibration. We had neither the
equations nor the code of that fine-tuning. A proper score of the classifier's shares asks for both: its least value is
reached where the share of a class is the probability that it is right.
"""

import math
from dataclasses import dataclass
from typing import final

from torch import Tensor, nn
from torch.nn import functional

from purecert.train.fitting.draws import Batch
from purecert.train.objectives.denoising import weighted_error
from purecert.train.objectives.objective import Objective
from purecert.train.objectives.sigmas import Sigmas, add_noise
from purecert.train.purifiers.each import purify_each
from purecert.train.purifiers.edm import EdmPurifier
from purecert.train.shapes import Labels, Logits
from purecert.train.strict.frozen import check_frozen


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class CalibrationObjective(Objective):
    """The denoiser's own loss at the certificate's noise, plus a share of the Brier score of a frozen classifier."""

    purifier: EdmPurifier  # trained
    classifier: nn.Module  # frozen
    preprocessing: nn.Module
    sigmas: Sigmas
    weight: float = 1.0  # of the Brier score

    def __post_init__(self) -> None:
        if not 0 <= self.weight < math.inf:
            raise ValueError(f"weight must be finite and >= 0, got {self.weight}")
        check_frozen(self.classifier, "the classifier")

    def __call__(self, batch: Batch) -> Tensor:
        sigmas = self.sigmas.draw(batch.draws)
        noise = batch.draws.normal(*batch.images.shape[1:])
        clean = purify_each(self.purifier, add_noise(batch.images, noise, sigmas), sigmas)
        score = brier_score(self.classifier(self.preprocessing(clean)), batch.labels)
        error = weighted_error(clean, batch.images, 2 * sigmas, self.purifier.config.sigma_data)
        return error + self.weight * score


def brier_score(logits: Logits, labels: Labels) -> Tensor:
    """Return the mean of |softmax(logits) - e_label|^2, in [0, 2] (Brier 1950)."""
    wanted = functional.one_hot(labels, logits.shape[1]).to(logits.dtype)
    return (logits.softmax(dim=1) - wanted).square().sum(dim=1).mean()
