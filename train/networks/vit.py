"""Classifiers of other libraries: the ViT of transformers, and any model of timm by its name."""

import math
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, final

from torch import Tensor, nn

from purecert.engine.errors import BackendError
from purecert.train.networks.limits import MAX_LAYERS
from purecert.train.shapes import Image, Logits


@dataclass(frozen=True, kw_only=True, slots=True)
class VitConfig:
    """The shape of a vision transformer (Dosovitskiy et al. 2021); the defaults are those of ViT-B/16 at 224 pixels."""

    classes: int
    image_size: int = 224
    patch_size: int = 16
    channels: int = 3
    hidden: int = 768
    layers: int = 12
    heads: int = 12
    intermediate: int = 3072
    norm_eps: float = 1e-12

    def __post_init__(self) -> None:
        if min(self.image_size, self.patch_size, self.channels, self.hidden, self.layers, self.heads) < 1:
            raise ValueError(f"a ViT needs positive sizes, got {self}")
        if self.image_size % self.patch_size or self.hidden % self.heads:
            raise ValueError(f"patches must tile the image and heads divide the hidden size, got {self}")
        if self.layers > MAX_LAYERS:
            raise ValueError(f"expected at most {MAX_LAYERS} layers, got {self.layers}")
        if not 0 <= self.norm_eps < math.inf:
            raise ValueError(f"norm_eps must be a finite number of at least 0, got {self.norm_eps}")
        if self.classes < 2 or self.intermediate < 1:
            raise ValueError(f"need at least 2 classes and a positive intermediate size, got {self}")


@final
class Vit(nn.Module):
    """The ViT classifier of transformers; weights lie under ``network.`` and its names of version 5."""

    def __init__(self, config: VitConfig) -> None:
        """Build the network.

        Raises:
            BackendError: transformers is not installed.
        """
        super().__init__()
        require("transformers", "import")
        from transformers import ViTConfig, ViTForImageClassification

        self.config = config
        options: dict[str, Any] = {"num_labels": config.classes, "attn_implementation": "sdpa"}
        shape = ViTConfig(
            hidden_size=config.hidden,
            num_hidden_layers=config.layers,
            num_attention_heads=config.heads,
            intermediate_size=config.intermediate,
            image_size=config.image_size,
            patch_size=config.patch_size,
            num_channels=config.channels,
            layer_norm_eps=config.norm_eps,
            **options,
        )
        self.network = ViTForImageClassification(shape)

    def forward(self, x: Image) -> Logits:
        logits: Tensor = self.network(pixel_values=x).logits
        return logits


@dataclass(frozen=True, kw_only=True, slots=True)
class TimmConfig:
    """A model of timm, by the name under which it lists it."""

    name: str
    classes: int
    channels: int = 3
    global_pool: str | None = None  # how features of places become one; None as timm lists it
    img_size: tuple[int, int] | None = None  # height and width that the network is built for; None as timm lists it

    def __post_init__(self) -> None:
        if self.classes < 2 or self.channels < 1:
            raise ValueError(f"need at least 2 classes and a channel, got {self.classes} and {self.channels}")
        if not self.name.replace("_", "").replace(".", "").isalnum():  # a prefix such as hf-hub: would fetch code
            raise ValueError(f"expected a plain timm name such as vit_base_patch16_224, got {self.name!r}")


@final
class TimmClassifier(nn.Module):
    """Any classifier that timm can build; weights lie under ``network.`` and its own names."""

    def __init__(self, config: TimmConfig) -> None:
        """Build the network, without weights from anywhere.

        Raises:
            BackendError: timm is not installed.
            ValueError: timm has no such model.
        """
        super().__init__()
        require("timm", "train")
        import timm

        if not timm.is_model(config.name):
            raise ValueError(f"timm {timm.__version__} has no model {config.name!r}; timm.list_models() lists them")
        self.config = config
        self.network: nn.Module = timm.create_model(
            config.name, pretrained=False, num_classes=config.classes, **_options(config)
        )

    def forward(self, x: Image) -> Logits:
        logits: Tensor = self.network(x)
        return logits


def _options(config: TimmConfig) -> dict[str, Any]:
    """Return what differs from the model as listed: a few take no such option."""
    channels = None if config.channels == 3 else config.channels
    options = {"in_chans": channels, "global_pool": config.global_pool, "img_size": config.img_size}
    return {name: value for name, value in options.items() if value is not None}


def require(package: str, extra: str) -> None:
    """Refuse to go on without a package.

    Raises:
        BackendError: It is not installed.
    """
    if find_spec(package) is None:
        raise BackendError(f"this classifier needs the package {package}; run: pip install 'purecert[{extra}]'")
