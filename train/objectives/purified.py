"""The loss of a classifier on what a frozen purifier makes of noisy images."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from purecert.train.fitting.draws import Batch
from purecert.train.purifiers.base import Purifier
from purecert.train.shapes import Labels, Logits


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class PurifiedObjective:
    """The cross entropy of a classifier on clean images and on noisy ones that a frozen purifier cleaned."""

    classifier: nn.Module
    purifier: Purifier
    preprocessing: nn.Module
    sigmas: tuple[float, ...]
    label_smoothing: float

    def __call__(self, batch: Batch) -> Tensor:
        noise = batch.draws.normal(*batch.images.shape[1:])
        first, *others = batch.images.chunk(len(self.sigmas) + 1)
        _, *noises = noise.chunk(len(self.sigmas) + 1)
        with torch.no_grad():
            purified = [self.purifier(x + 2 * s * z, s) for x, z, s in zip(others, noises, self.sigmas, strict=True)]
        logits = self.classifier(self.preprocessing(torch.cat([first, *purified])))
        return cross_entropy(logits, batch.labels, self.label_smoothing)


def cross_entropy(logits: Logits, labels: Labels, smoothing: float = 0.0) -> Tensor:
    """Return the mean of -log softmax(logits)[label], the labels mixed with uniform ones by ``smoothing``."""
    return functional.cross_entropy(logits, labels, label_smoothing=smoothing)
