"""A classifier of clean images, which a purifier stands before."""

from dataclasses import dataclass
from typing import final

from torch import Tensor, nn

from purecert.train.fitting.draws import Batch
from purecert.train.objectives.noisy_classifier import cross_entropy
from purecert.train.objectives.objective import Objective


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class CleanClassifierObjective(Objective):
    """The cross entropy on the images as they are."""

    classifier: nn.Module
    preprocessing: nn.Module
    label_smoothing: float = 0.0

    def __call__(self, batch: Batch) -> Tensor:
        return cross_entropy(self.classifier(self.preprocessing(batch.images)), batch.labels, self.label_smoothing)
