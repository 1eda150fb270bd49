"""Classifiers that are asked at a noise level, and face the noise themselves: no purifier stands before them."""

from abc import ABC, abstractmethod
from typing import final

from torch import Tensor, nn

from purecert.train.shapes import Image, Logits


class SigmaClassifier(nn.Module, ABC):
    """A classifier of noisy images that takes their noise level."""

    @abstractmethod
    def forward(self, noisy: Image, sigma: float) -> Logits:
        """Return the logits.

        Args:
            noisy: Images on the [-1, 1] scale plus noise of std ``2 sigma``.
            sigma: Noise std in [0, 1] pixel units; a constant of the graph.

        Raises:
            InputError: The classifier was not made for this noise.
        """


@final
class AtSigma(nn.Module):
    """Such a classifier at one noise level, as a classifier of images alone; it shares the weights."""

    def __init__(self, classifier: SigmaClassifier, sigma: float) -> None:
        super().__init__()
        self.classifier, self.sigma = classifier, sigma

    def forward(self, noisy: Image) -> Logits:
        logits: Tensor = self.classifier(noisy, self.sigma)
        return logits


def at_sigma(classifier: nn.Module, sigma: float) -> nn.Module:
    """Return ``classifier`` at ``sigma``; one that takes no noise level as it is."""
    return AtSigma(classifier, sigma) if isinstance(classifier, SigmaClassifier) else classifier
