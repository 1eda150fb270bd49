"""torchvision's classifiers are asked for by plain names, and its absence is one line."""

import importlib.util

import pytest

from purecert.engine.errors import BackendError
from purecert.train.networks import torchvision_models
from purecert.train.networks.torchvision_models import TorchvisionClassifier, TorchvisionConfig


def test_without_torchvision_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(torchvision_models, "find_spec", lambda name: None if name == "torchvision" else find(name))
    with pytest.raises(BackendError, match="this classifier needs the package torchvision; install the build of your"):
        TorchvisionClassifier(TorchvisionConfig(name="resnet18", classes=10))


@pytest.mark.parametrize(
    ("name", "classes", "channels", "words"),
    [
        ("resnet18", 1, 3, "need at least 2 classes, got 1"),
        ("resnet18", 10, 0, "expected channels in"),
        ("a/resnet18", 10, 3, "expected a plain torchvision name such as resnet18, got 'a/resnet18'"),
        ("inception_v3", 10, 3, "inception_v3 transforms its input or not, which no weight shows"),
    ],
)
def test_what_cannot_be_built_is_refused(name: str, classes: int, channels: int, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        TorchvisionConfig(name=name, classes=classes, channels=channels)
