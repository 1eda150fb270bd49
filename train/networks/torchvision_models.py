"""Classifiers of torchvision by their names. torchvision is no dependency: any version that imports serves."""

import warnings
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, final

from torch import Tensor, nn

from purecert.engine.errors import BackendError, one_line
from purecert.train.shapes import Image, Logits

_CHANNELS = 3
# Their published weights want an input that is transformed once more, and no weight shows it.
_TRANSFORMED = ("googlenet", "inception_v3")
_VERSIONED = "mnasnet"


@dataclass(frozen=True, kw_only=True, slots=True)
class TorchvisionConfig:
    """A model of torchvision, by the name under which ``torchvision.models.list_models`` has it."""

    name: str
    classes: int
    channels: int = _CHANNELS  # others where somebody changed the first convolution

    def __post_init__(self) -> None:
        if self.classes < 2:
            raise ValueError(f"need at least 2 classes, got {self.classes}")
        if not 1 <= self.channels <= 1000:
            raise ValueError(f"expected channels in [1, 1000], got {self.channels}")
        if not self.name.isidentifier():
            raise ValueError(f"expected a plain torchvision name such as resnet18, got {self.name!r}")
        if self.name.startswith(_VERSIONED):
            raise ValueError(
                f"{self.name} has another shape for weights of an older version, which no weight shows; "
                "build it in a Python file and export python:FILE.py:NAME"
            )
        if self.name in _TRANSFORMED:
            raise ValueError(
                f"{self.name} transforms its input or not, which no weight shows; "
                "build it in a Python file and export python:FILE.py:NAME"
            )


@final
class TorchvisionClassifier(nn.Module):
    """Any classifier that torchvision can build; weights lie under ``network.`` and its own names."""

    def __init__(self, config: TorchvisionConfig) -> None:
        """Build the network, without weights from anywhere.

        Raises:
            BackendError: torchvision is not installed, or does not import.
            ValueError: torchvision has no such classifier.
        """
        super().__init__()
        models = torchvision_models()
        if config.name not in models.list_models(module=models):
            raise ValueError(
                f"torchvision has no classifier {config.name!r}; torchvision.models.list_models() lists them"
            )
        self.config = config
        self.network: nn.Module = models.get_model(config.name, weights=None, num_classes=config.classes)
        if config.channels != _CHANNELS:
            _change_channels(self.network, config.channels)

    def forward(self, x: Image) -> Logits:
        logits: Tensor = self.network(x)
        return logits


def torchvision_models() -> Any:
    """Return the module ``torchvision.models``.

    Raises:
        BackendError: torchvision is not installed, or does not import beside this PyTorch.
    """
    if find_spec("torchvision") is None:
        raise BackendError("this classifier needs the package torchvision; install the build of your PyTorch")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it warns where it has no image extension, which nothing here needs
            from torchvision import models
    except (ImportError, RuntimeError, AttributeError) as error:  # its operators may be of another PyTorch
        reason = one_line(error)
        raise BackendError(
            f"torchvision is installed, but cannot be imported beside this PyTorch ({reason}); install the build that "
            "belongs to it, or another version without its dependencies"
        ) from error
    return models


def first_convolution(network: nn.Module) -> tuple[str, nn.Conv2d]:
    """Return the name and the layer that takes the image."""
    name, layer = next((name, part) for name, part in network.named_modules() if isinstance(part, nn.Conv2d))
    return name, layer


def _change_channels(network: nn.Module, channels: int) -> None:
    """Let the first convolution take images of ``channels``."""
    name, old = first_convolution(network)
    parent, _, own = name.rpartition(".")
    new = nn.Conv2d(
        channels,
        old.out_channels,
        old.kernel_size,  # type: ignore[arg-type]  # PyTorch's own annotation is too wide
        old.stride,  # type: ignore[arg-type]
        old.padding,  # type: ignore[arg-type]
        bias=old.bias is not None,
    )
    setattr(network.get_submodule(parent), own, new)
