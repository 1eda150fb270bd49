"""The loss of a classifier on what a frozen purifier makes of noisy images."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from purecert.train.fitting.data import Sampler
from purecert.train.purifiers.base import Purifier
from purecert.train.shapes import Labels, Logits


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class PurifiedObjective:
    """The cross entropy of a classifier on clean images and on noisy ones that a frozen purifier cleaned."""

    classifier: nn.Module
    purifier: Purifier
    preprocessing: nn.Module
    sigmas: tuple[float, ...]
    sampler: Sampler
    label_smoothing: float

    def __call__(self, step: int) -> Tensor:
        clean, labels = self.sampler.draw()
        first, *others = clean.chunk(len(self.sigmas) + 1)
        with torch.no_grad():
            purified = [self._purify(x, sigma) for x, sigma in zip(others, self.sigmas, strict=True)]
        logits = self.classifier(self.preprocessing(torch.cat([first, *purified])))
        return cross_entropy(logits, labels, self.label_smoothing)

    def _purify(self, clean: Tensor, sigma: float) -> Tensor:
        noise = torch.randn(clean.shape, generator=self.sampler.generator)
        purified: Tensor = self.purifier(clean + 2 * sigma * noise, sigma)
        return purified


def cross_entropy(logits: Logits, labels: Labels, smoothing: float = 0.0) -> Tensor:
    """Return the mean of -log softmax(logits)[label], the labels mixed with uniform ones by ``smoothing``."""
    return functional.cross_entropy(logits, labels, label_smoothing=smoothing)
