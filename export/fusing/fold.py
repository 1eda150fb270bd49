"""A model at one fixed sigma, with everything computed beforehand that depends on sigma only."""

from collections import OrderedDict
from typing import final

from torch import Tensor, nn

from purecert.export.fusing.fold_classifier import fold_classifier
from purecert.export.fusing.fold_networks import Size, can_fold, copy_sharing_weights, fold_output, fold_time
from purecert.export.fusing.fold_rrcm import fold_condition
from purecert.export.fusing.fuse import FusedModel, PurifiedClassifier
from purecert.train.models.checkpoints import Model
from purecert.train.purifiers.base import FixedTimes, ManyStepsPurifier, OneStepPurifier, Purifier, Step
from purecert.train.shapes import Image


def fold(model: Model, sigma: float) -> FusedModel:
    """Return what ``fuse`` returns, as fewer operations with the same result up to rounding.

    The time path is constants, learned variances are gone, scales and shifts lie in the convolutions and in the one
    affine that brings pixels to the network. Weights that do not change are shared with ``model``. A purifier whose
    network is none of this project's keeps its time path, see ``folds_time``.
    """
    size = model.input_shape[1:]
    preprocessing, classifier = fold_classifier(model.preprocessing, fold_condition(model.classifier, sigma), size)
    purifier = model.purifier
    if not isinstance(purifier, OneStepPurifier) or not can_fold(purifier.network):
        purified = PurifiedClassifier(_fix_times(purifier, sigma, size), preprocessing, classifier, sigma)
        return FusedModel(purified).eval()
    step = purifier.step(sigma)
    folded = _FoldedStep(purifier, step, size)
    parts = OrderedDict(purifier=folded, preprocessing=preprocessing, classifier=classifier)
    # The network's input inp (2 pixels / 255 - 1) + inp_shift is one affine of the pixels.
    return FusedModel(nn.Sequential(parts), scale=step.inp, shift=step.inp_shift).eval()


def folds_time(purifier: Purifier) -> bool:
    """Whether ``fold`` can do away with the time path of this purifier's network, if it has one."""
    has_network = isinstance(purifier, OneStepPurifier | ManyStepsPurifier)
    return not has_network or can_fold(purifier.get_submodule("network"))


@final
class _FoldedStep(nn.Module):
    """D as a function of the network's own input y = inp x + inp_shift: (skip / inp) y + F'(y)."""

    def __init__(self, purifier: OneStepPurifier, step: Step, size: Size) -> None:
        super().__init__()
        self.skip = step.skip / step.inp
        self.clips = purifier.clips
        network = fold_time(purifier.network, step.label, size)
        shift = step.shift - self.skip * step.inp_shift
        self.network = fold_output(network, step.out, shift, has_variance=step.has_variance)

    def forward(self, scaled: Image) -> Image:
        raw: Tensor = self.network(scaled)
        clean = raw + self.skip * scaled if self.skip else raw
        return clean.clamp(-1, 1) if self.clips else clean


def _fix_times(purifier: Purifier, sigma: float, size: Size) -> Purifier:
    """Return a purifier of several network calls whose network knows their times only."""
    if not isinstance(purifier, ManyStepsPurifier) or not can_fold(purifier.network):
        return purifier
    networks = {label: fold_time(purifier.network, label, size) for label in purifier.labels(sigma)}
    fixed = copy_sharing_weights(purifier)
    assert isinstance(fixed, ManyStepsPurifier)
    fixed.network = FixedTimes(networks)
    return fixed
