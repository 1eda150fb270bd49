"""The kinds of classifier checkpoint: what file each is, its network, and the input that it was trained on."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from purecert.engine.errors import InputError
from purecert.train.importing.choices import Note, silent
from purecert.train.importing.classifier import Classifier, ReadClassifier
from purecert.train.importing.hugging_face.classifiers import read_hf, told_class_names, weights_file
from purecert.train.importing.hugging_face.input import google_vit_input, read_hf_input
from purecert.train.importing.plain_weights import layer_weight, read_weights, without_prefix, without_wrappers
from purecert.train.importing.rrcm_files import read_rrcm
from purecert.train.importing.timm_classifiers import read_timm
from purecert.train.importing.torchvision_classifiers import read_torchvision
from purecert.train.models.preprocessing import PreprocessingConfig
from purecert.train.networks.resnet import ResNet, ResNetConfig
from purecert.train.networks.vit import Vit, VitConfig
from purecert.train.networks.wide_resnet import WideResNet, WideResNetConfig
from purecert.train.readers.json_files import read_object
from purecert.train.readers.names.vit import canonical_vit_state
from purecert.train.strict.configuration import build_config
from purecert.train.strict.state import build_empty, load_strictly

_NORMALISED = "1."  # in files of locuslab and of denoised-smoothing, where place 0 is the normalisation

_LOCUSLAB = f"as locuslab's, since all names begin with {_NORMALISED}"

_COUNTER = ".num_batches_tracked"
_CIFAR_SIZE = 32

_CIFAR = PreprocessingConfig(mean=(0.4914, 0.4822, 0.4465), std=(0.2471, 0.2435, 0.2616), size=_CIFAR_SIZE)
_CIFAR_LOCUSLAB = PreprocessingConfig(mean=(0.4914, 0.4822, 0.4465), std=(0.2023, 0.1994, 0.2010), size=_CIFAR_SIZE)
_IMAGENET = PreprocessingConfig(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225), size=_CIFAR_SIZE)


@dataclass(frozen=True, kw_only=True, slots=True)
class ClassifierKind:
    """One kind of classifier checkpoint."""

    expects: str  # the file, in words
    read: ReadClassifier
    takes_name: bool = False  # whether anything may follow


def _read_resnet(path: Path, name: str, note: Note = silent) -> Classifier:
    weights, is_locuslab = _without_normalisation(path, note)
    head: Literal["fc", "linear"] = "fc" if _count_parts(weights, "fc.") else "linear"
    blocks = tuple(_count_parts(weights, f"layer{stage}.") for stage in (1, 2, 3))
    has_projections = any(".downsample." in key for key in weights)
    classes = _rows(weights, f"{head}.weight", path)
    try:
        config = ResNetConfig(
            classes=classes, blocks=blocks, head=head, shortcut="projection" if has_projections else "pad"
        )
    except ValueError as error:
        raise InputError(f"{path}: expected the weights of a CIFAR ResNet with three stages ({error})") from error
    network = build_empty(lambda: ResNet(config), str(path))
    # Akamaster's networks were trained on ImageNet's statistics, locuslab's on CIFAR-10's.
    wanted = _CIFAR_LOCUSLAB if is_locuslab else _IMAGENET
    because = _LOCUSLAB if is_locuslab else f"as akamaster's, since not all names begin with {_NORMALISED}"
    return Classifier(_fill(network, weights, path), classes, wanted, because, _CIFAR_SIZE)


def _read_wide_resnet(path: Path, name: str, note: Note = silent) -> Classifier:
    weights, is_locuslab = _without_normalisation(path, note)
    is_block = _count_parts(weights, "block1.") > 0
    first = "block1.layer." if is_block else "layer1."
    classes = _rows(weights, "fc.weight" if is_block else "linear.weight", path)
    width = _rows(weights, f"{first}0.conv1.weight", path)
    try:
        config = WideResNetConfig(
            depth=6 * _count_parts(weights, first) + 4,
            widen_factor=width // 16,
            classes=classes,
            layout="block" if is_block else "layer",
        )
    except ValueError as error:
        raise InputError(f"{path}: expected the weights of a WideResNet ({error})") from error
    network = build_empty(lambda: WideResNet(config), str(path))
    wanted = _CIFAR_LOCUSLAB if is_locuslab else _CIFAR
    because = _LOCUSLAB if is_locuslab else f"CIFAR-10's own, since not all names begin with {_NORMALISED}"
    return Classifier(_fill(network, weights, path), classes, wanted, because, _CIFAR_SIZE)


def _without_normalisation(path: Path, note: Note) -> tuple[dict[str, Tensor], bool]:
    """Return the network's own weights, and whether they lay after a normalisation, which has no weights."""
    weights = read_weights(path, note)
    own = without_prefix(weights, _NORMALISED)
    return without_wrappers(own, path, note), own.keys() != weights.keys()


def _fill(network: nn.Module, weights: Mapping[str, Tensor], path: Path) -> nn.Module:
    """Return the network with its weights, and zeros for the counters of batches, all of which files before 2018 lack.

    In eval mode, the only one here, a batch normalisation does not look at them.
    """
    has_counters = any(name.endswith(_COUNTER) for name in weights)
    counters = [] if has_counters else [name for name in network.state_dict() if name.endswith(_COUNTER)]
    return load_strictly(network, {**{name: torch.tensor(0) for name in counters}, **weights}, str(path))


def _count_parts(weights: Mapping[str, Tensor], prefix: str) -> int:
    """Return how many numbers stand right after ``prefix`` in the names."""
    return len({key.removeprefix(prefix).split(".")[0] for key in weights if key.startswith(prefix)})


def _rows(weights: Mapping[str, Tensor], name: str, path: Path) -> int:
    return layer_weight(weights, name, path).shape[0]


def _read_vit(path: Path, name: str, note: Note = silent) -> Classifier:
    weights = canonical_vit_state(read_weights(weights_file(path) if path.is_dir() else path, note))
    classes = _rows(weights, "classifier.weight", path)
    config = _vit_config(path, classes)
    if not path.is_dir():
        note(f"classifier's shape: ViT-B/16's, {config.heads} heads, norm_eps {config.norm_eps} (without config.json)")
    network = build_empty(lambda: Vit(config), str(path))
    load_strictly(network.network, weights, str(path))
    found = read_hf_input(path, config.channels, config.image_size)
    found = google_vit_input(config.channels, config.image_size) if found is None else found
    names = told_class_names(path) if path.is_dir() else ()
    return Classifier(
        network.eval(),
        classes,
        found.preprocessing,
        found.because,
        resample=found.resample,
        class_names=names if len(names) == classes else (),
    )


# config.json's names -> ours; what else it holds does not change what a ViT computes.
_VIT_FIELDS = {
    "image_size": "image_size",
    "patch_size": "patch_size",
    "num_channels": "channels",
    "hidden_size": "hidden",
    "num_hidden_layers": "layers",
    "num_attention_heads": "heads",
    "intermediate_size": "intermediate",
    "layer_norm_eps": "norm_eps",
}


def _vit_config(path: Path, classes: int) -> VitConfig:
    """Return the shape that the folder's config.json gives; weights alone are those of a ViT-B/16."""
    if not path.is_dir():
        return build_config(VitConfig, {"classes": classes}, str(path))
    path = path / "config.json"
    content = read_object(path, "the configuration of a ViT")
    if content.get("model_type", "vit") != "vit":
        raise InputError(f"{path}: expected the configuration of a ViT, found another model's")
    if content.get("hidden_act", "gelu") != "gelu" or content.get("qkv_bias", True) is not True:
        raise InputError(f"{path}: expected hidden_act gelu and qkv_bias true, found others")
    known = {ours: content[theirs] for theirs, ours in _VIT_FIELDS.items() if theirs in content}
    return build_config(VitConfig, {"classes": classes, **known}, str(path))


CLASSIFIER_KINDS: Mapping[str, ClassifierKind] = {
    "cifar-resnet": ClassifierKind(
        expects="a CIFAR ResNet (akamaster's .th, locuslab's checkpoints), shortcut A or B", read=_read_resnet
    ),
    "wide-resnet": ClassifierKind(
        expects="a CIFAR WideResNet of denoised-smoothing or DensePure, any depth and width", read=_read_wide_resnet
    ),
    "hf-vit": ClassifierKind(
        expects="a Hugging Face ViT classifier: its folder, or its weights alone for ViT-B/16 (needs transformers)",
        read=_read_vit,
    ),
    "hf": ClassifierKind(
        expects="any Hugging Face image classifier: its folder, or hub:OWNER/NAME, fetched (needs transformers)",
        read=read_hf,
    ),
    "timm": ClassifierKind(
        expects="timm:NAME=FILE, the weights of any classifier that timm lists; timm=FOLDER or timm=hub:OWNER/NAME, "
        "whose config.json names it (needs timm)",
        read=read_timm,
        takes_name=True,
    ),
    "torchvision": ClassifierKind(
        expects="torchvision:NAME=FILE, the weights of any classifier that torchvision lists (needs torchvision)",
        read=read_torchvision,
        takes_name=True,
    ),
    "rrcm": ClassifierKind(
        expects="a fine-tuned file of rRCM, which is asked at the noise level; with the identity purifier",
        read=read_rrcm,
    ),
}
