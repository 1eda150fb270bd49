"""A plan of the module inside an ART classifier, with the range and the normalisation that ART gives it."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from torch import nn

from purecert.engine.errors import InputError
from purecert.engine.plans.plan import Plan
from purecert.export.modules import PathLike, export_module


def export_art(classifier: Any, *, sigmas: Sequence[float], data: str, out: PathLike, **options: Any) -> Plan:
    """Return the plan of an ART ``PyTorchClassifier``; arguments and errors are those of ``export_module``.

    Args:
        classifier: ART's object; its ``clip_values`` say what pixels 0 and 255 are, its ``preprocessing`` mean and std.
        sigmas: As of ``export_module``, in pixel units of [0, 1] whatever the clip values.
        data: As of ``export_module``.
        out: As of ``export_module``.
        options: The other arguments of ``export_module``.

    Raises:
        InputError: It is no such object, has no clip values, takes channels last, or changes images by more than mean
            and std.
    """
    module, clip = getattr(classifier, "model", None), getattr(classifier, "clip_values", None)
    if not isinstance(module, nn.Module) or clip is None:
        came = type(classifier).__name__
        raise InputError(f"expected an ART PyTorchClassifier with clip_values, what pixels 0 and 255 are, got {came}")
    if not getattr(classifier, "channels_first", True):
        raise InputError("expected an ART classifier with channels first, got one with channels last")
    low, high = (np.unique(value) for value in clip)
    if len(low) != 1 or len(high) != 1:
        raise InputError("expected the same clip_values for every pixel, got others")
    others = [getattr(classifier, f"{name}_defences", None) for name in ("preprocessing", "postprocessing")]
    if any(others):
        raise InputError("expected an ART classifier without defences, which a plan does not hold, got some")
    mean, std = _normalisation(classifier, int(classifier.input_shape[0]))
    ranged = (float(low[0]), float(high[0]))
    return export_module(module, sigmas=sigmas, data=data, out=out, input_range=ranged, mean=mean, std=std, **options)


def _normalisation(classifier: Any, channels: int) -> tuple[list[float], list[float]]:
    mean, std = np.zeros(channels), np.ones(channels)
    for step in getattr(classifier, "preprocessing_operations", []):
        if not type(step).__name__.startswith("StandardisationMeanStd"):
            raise InputError(
                f"expected an ART classifier that prepares by mean and std alone, got {type(step).__name__}"
            )
        try:
            mean, std = (np.broadcast_to(np.ravel(part), channels) for part in (step.mean, step.std))
        except ValueError as error:
            raise InputError(f"expected a mean and a std for each of {channels} channels, got others") from error
    return mean.astype(float).tolist(), std.astype(float).tolist()
