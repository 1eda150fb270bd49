"""The distance between what a network sees in two images: its features at some layers, at unit length."""

from collections.abc import Iterable, Sequence
from typing import final

import torch
from torch import Tensor, nn

from purecert.train.shapes import Image, PerImage
from purecert.train.strict.frozen import check_frozen


def unit_length(features: Tensor) -> Tensor:
    """Return ``features`` [batch, channels, ...] over their length along the channels, at each place.

    A place whose channels are all 0 stays 0, with a gradient of 0.
    """
    length: Tensor = torch.linalg.vector_norm(features, dim=1, keepdim=True)
    return features / (length + 1e-10)  # the number of the lpips package


def feature_distance(a: Iterable[Tensor], b: Iterable[Tensor]) -> PerImage:
    """Return the sum over layers of the mean over places of |a' - b'|^2, a' and b' at unit length, in [0, 4] a layer.

    It is the unlearned distance of Zhang et al. 2018, eq. 1 with all weights 1.

    Args:
        a: Features [batch, channels, ...] of each layer.
        b: The same layers' features of the other images.
    """
    layers = [
        (unit_length(p) - unit_length(q)).square().sum(dim=1).flatten(1).mean(dim=1) for p, q in zip(a, b, strict=True)
    ]
    return torch.stack(layers).sum(dim=0)


@final
class FeatureDistance(nn.Module):
    """The distance between the features that a frozen classifier computes from images on the [-1, 1] scale.

    A purifier trained by it flatters that classifier: judge it by another.
    """

    def __init__(self, classifier: nn.Module, preprocessing: nn.Module, layers: Sequence[str]) -> None:
        """Look at the submodules named by ``layers``, such as layer1, layer2 and layer3 of a ResNet.

        Raises:
            ValueError: There is no such layer, or the classifier is not frozen.
        """
        super().__init__()
        check_frozen(classifier, "the classifier")
        known = dict(classifier.named_modules())
        if not layers or any(name not in known for name in layers):
            raise ValueError(f"layers: expected names of the classifier's modules ({', '.join(known)}), got {layers}")
        self.classifier, self.preprocessing, self.layers = classifier, preprocessing, tuple(layers)

    def forward(self, a: Image, b: Image) -> PerImage:
        return feature_distance(self._features(a), self._features(b))

    def _features(self, images: Image) -> list[Tensor]:
        seen: list[Tensor] = []
        hooks = [
            self.classifier.get_submodule(name).register_forward_hook(
                lambda _module, _given, answer: seen.append(answer)
            )
            for name in self.layers
        ]
        try:
            self.classifier(self.preprocessing(images))
        finally:
            for hook in hooks:
                hook.remove()
        return seen
