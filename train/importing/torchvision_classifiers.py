"""Classifiers of torchvision from files of their weights, with the input that it records for its own weights."""

from functools import partial
from hashlib import file_digest
from pathlib import Path
from typing import Any

from torch import nn

from purecert.engine.errors import InputError, one_line
from purecert.train.importing.choices import Note, silent
from purecert.train.importing.classifier import Classifier
from purecert.train.importing.plain_weights import layer_weight, read_weights
from purecert.train.models.preprocessing import PreprocessingConfig
from purecert.train.networks.torchvision_models import (
    TorchvisionClassifier,
    TorchvisionConfig,
    first_convolution,
    torchvision_models,
)
from purecert.train.strict.state import build_empty, load_strictly

_CHANNELS = 3


def read_torchvision(path: Path, name: str, note: Note = silent) -> Classifier:
    """Return the classifier ``name`` with the weights of a file.

    Raises:
        BackendError: torchvision is not installed, or does not import.
        InputError: It has no such classifier, or a weight does not fit.
    """
    if not name:
        raise InputError(f"expected torchvision:NAME=FILE, got torchvision={path}")
    weights = read_weights(path, note)
    small, other = (build_empty(partial(_build, name, count), str(path)) for count in (2, 3))
    head = _head(small.network, other.network)
    stem = f"{first_convolution(small.network)[0]}.weight"
    classes, channels = int(layer_weight(weights, head, path).shape[0]), int(layer_weight(weights, stem, path).shape[1])
    network = _build(name, classes, channels)
    load_strictly(network.network, weights, str(path))
    if channels != _CHANNELS:
        note(f"classifier's channels: {channels}, as its first convolution has them")
        return Classifier(network.eval(), classes, None, "given")
    return _with_input(path, name, network, classes)


def _build(name: str, classes: int, channels: int = _CHANNELS) -> TorchvisionClassifier:
    try:
        return TorchvisionClassifier(TorchvisionConfig(name=name, classes=classes, channels=channels))
    except ValueError as error:
        raise InputError(one_line(error)) from error


def _head(small: nn.Module, other: nn.Module) -> str:
    """Return the name of the weight that has a row for each class: the one that grows with them."""
    shapes = other.state_dict()
    return next(
        key for key, value in small.state_dict().items() if value.dim() > 1 and value.shape != shapes[key].shape
    )


def _with_input(path: Path, name: str, network: TorchvisionClassifier, classes: int) -> Classifier:
    """Return the classifier with the input of the weights that the file is by its digest, or of torchvision's best."""
    recorded = torchvision_models().get_model_weights(name)
    with path.open("rb") as file:
        digest = file_digest(file, "sha256").hexdigest()
    found = next((one for one in recorded if _digest_of(one) and digest.startswith(_digest_of(one))), None)
    because = f"as torchvision records for {name}, by default; the file is none of its own"
    if found is not None:
        because = f"as torchvision records for {found.name}, which the file is by its digest"
    steps = (recorded.DEFAULT if found is None else found).transforms()
    resized, seen = int(steps.resize_size[0]), int(steps.crop_size[0])
    crop = None if seen == resized else (round((resized - seen) / 2), seen)  # as its center_crop places it
    wanted = PreprocessingConfig(mean=tuple(steps.mean), std=tuple(steps.std), size=resized, crop=crop)
    names = () if found is None else tuple(str(each) for each in found.meta["categories"])
    resample = str(steps.interpolation.value)
    return Classifier(network.eval(), classes, wanted, because, resample=resample, class_names=names)


def _digest_of(recorded: Any) -> str:
    """Return the digits of the weights' digest, which torchvision puts at the end of their file's name."""
    return str(recorded.url).rpartition("-")[2].removesuffix(".pth")
