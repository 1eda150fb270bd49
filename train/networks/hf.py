"""Image classifiers of transformers, by the library's own classes: a model type and the settings of its config.json."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from logging import CRITICAL, root
from typing import Any, final

import torch
from torch import Tensor, nn

from purecert.engine.errors import InputError, PurecertError
from purecert.train.networks.limits import MAX_LAYERS
from purecert.train.networks.vit import require
from purecert.train.shapes import Image, Logits

_LARGEST = 1_000_000  # far past any size of an image or a layer
# Settings that would fetch or run something else than the library's own network, or compute in another precision.
_FORBIDDEN = (
    "auto_map",
    "backbone",
    "timm",
    "quantization",
    "implementation",
    "use_kernel",
    "kernel_config",
    "adapter",
)
_COUNTS = ("layers", "depth", "blocks", "stages")  # in the names of settings that say how deep a network is


@dataclass(frozen=True, kw_only=True, slots=True)
class HfConfig:
    """A network of transformers: what its config.json says, without names of classes and what changes no logit."""

    model_type: str  # such as resnet
    architecture: str  # the class, such as ResNetForImageClassification
    settings: str  # a JSON object
    classes: int

    def __post_init__(self) -> None:
        if self.classes < 2:
            raise ValueError(f"need at least 2 classes, got {self.classes}")
        try:
            settings = json.loads(self.settings)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"settings must be JSON ({type(error).__name__})") from error
        if not isinstance(settings, dict):
            raise ValueError("settings must be a JSON object")
        _check_settings(settings)


def _check_settings(settings: Mapping[str, Any]) -> None:
    """Refuse what is no plain description of a network, or describes one too large to be built at once."""
    for name, value in settings.items():
        if name.startswith("_") or any(word in name for word in _FORBIDDEN):
            raise ValueError(
                f"setting {name!r} is refused, since it would bring in more than the library's own network"
            )
        if isinstance(value, dict):
            _check_settings(value)
            continue
        numbers = [each for each in _flat(value) if isinstance(each, int | float)]
        if any(not abs(each) <= _LARGEST for each in numbers):
            raise ValueError(f"setting {name!r} holds a number beyond {_LARGEST}")
        if any(word in name for word in _COUNTS) and sum(numbers) > MAX_LAYERS:
            raise ValueError(f"setting {name!r} holds more than {MAX_LAYERS} layers")


def _flat(value: object) -> Iterator[object]:
    if isinstance(value, list):
        for each in value:
            yield from _flat(each)
    else:
        yield value


@final
class HfClassifier(nn.Module):
    """An image classifier of transformers; weights lie under ``network.`` and its names of version 5."""

    def __init__(self, config: HfConfig) -> None:
        """Build the network, without weights, code or anything else from anywhere.

        Raises:
            BackendError: transformers is not installed.
            InputError: It has no such classifier, or cannot build one of these settings.
        """
        super().__init__()
        kind, shape = hf_class(config)
        self.config = config
        with quiet(), told(f"{config.architecture} of transformers that can be built of its settings"):
            self.network: nn.Module = kind._from_config(shape, dtype=torch.float32)

    def forward(self, x: Image) -> Logits:
        logits: Tensor = self.network(pixel_values=x).logits
        return logits


def hf_class(config: HfConfig) -> tuple[Any, Any]:
    """Return the library's class of a network, and its configuration.

    Raises:
        BackendError: transformers is not installed.
        InputError: It has no such classifier of images alone, or the settings do not fit.
    """
    require("transformers", "import")
    with quiet(), told(f"a configuration of {config.model_type} that transformers reads"):
        from transformers import MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING, AutoConfig

        shape = AutoConfig.for_model(config.model_type, **json.loads(config.settings), num_labels=config.classes)
        found: Any = MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING.get(type(shape), ())
    kinds = found if isinstance(found, tuple) else (found,)
    for kind in kinds:
        if kind.__name__ == config.architecture and kind.main_input_name == "pixel_values":
            shape.architectures = [config.architecture]
            shape.return_dict = True  # whatever the settings say, since the logits are asked for by name
            return kind, shape
    known = " or ".join(kind.__name__ for kind in kinds) or "none"
    raise InputError(
        f"expected a classifier of images, which transformers has for {config.model_type}: {known}; "
        f"found {config.architecture}"
    )


@contextmanager
def told(expected: str) -> Iterator[None]:
    """Raise whatever the library raises inside as an InputError of one line."""
    try:
        yield
    except (PurecertError, MemoryError):
        raise
    except Exception as error:  # the library's own checks share no base class
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        raise InputError(f"expected {expected}, got {reason}") from error


@contextmanager
def quiet() -> Iterator[None]:
    """Silence the library's reports and progress bars: what matters of them, purecert says itself."""
    disabled = root.manager.disable
    root.manager.disable = CRITICAL
    try:
        with redirect_stderr(StringIO()), redirect_stdout(StringIO()):
            yield
    finally:
        root.manager.disable = disabled
