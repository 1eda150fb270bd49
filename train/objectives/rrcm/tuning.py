"""What fine-tuning of rRCM minimises: a linear probe, or a classifier that answers alike to several noises.

Lei et al. 2025 (arXiv 2501.13094), appendix; the loss is that of Jeong and Shin 2020.
"""

import math
from dataclasses import dataclass
from typing import final

from torch import Tensor

from purecert.train.fitting.draws import Batch
from purecert.train.networks.rrcm.classifier import RrcmClassifier
from purecert.train.objectives.objective import Objective
from purecert.train.objectives.regularised_classifier import regularised_loss


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class RrcmTuningObjective(Objective):
    """CE + lambda mean_i KL(F || F_i) + eta H(F) over m noisy copies at the one sigma of a certificate.

    With one copy, sigma 0 and eta 1 it is what the official code minimises in its tasks ``linear`` and ``finetune``:
    cross entropy and mean entropy of images without noise at the lowest level. A linear probe is that with
    ``base_model`` frozen. In the official code's task ``consistency`` the head is left out of the optimiser and has
    to come from a probe; here every parameter that asks for a gradient gets one, the head too.
    """

    classifier: RrcmClassifier
    sigma: float  # in [0, 1] pixel units
    copies: int = 2  # m
    weight: float = 10.0  # lambda: 10 at sigma .25, 20 at .5 and 1
    entropy_weight: float = 0.5  # eta

    def __post_init__(self) -> None:
        if self.copies < 1 or (self.copies == 1 and self.weight != 0):
            raise ValueError(
                f"copies must be at least 2, or 1 with weight 0, got {self.copies} and {self.weight}: "
                "one copy agrees with itself"
            )
        if not all(0 <= w < math.inf for w in (self.weight, self.entropy_weight)):
            raise ValueError(f"weights must be finite and >= 0, got {self.weight} and {self.entropy_weight}")
        self.classifier.timestep(self.sigma)  # refuses more noise than there is a level for

    def __call__(self, batch: Batch) -> Tensor:
        noise = batch.draws.normal(self.copies, *batch.images.shape[1:]).flatten(0, 1)
        noisy = batch.images.repeat_interleave(self.copies, dim=0) + 2 * self.sigma * noise
        logits = self.classifier(noisy, self.sigma).unflatten(0, (-1, self.copies))
        return regularised_loss(logits, batch.labels, self.weight, self.entropy_weight)
