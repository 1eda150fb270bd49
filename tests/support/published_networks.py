"""The networks behind the golden values, imported from files in the formats of their publishers."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from purecert.train.importing.assemble import ImportSpec, Source, import_model
from purecert.train.models.checkpoints import Model
from purecert.train.networks.adm.unet import AdmUNetConfig
from purecert.train.networks.resnet import ResNet, ResNetConfig
from purecert.train.networks.song.unet import SongUNetConfig
from support.checkpoint_files import edm_tree, write_edm, write_flax, write_json, write_torch
from support.golden import Golden, golden, shared

State = Mapping[str, Tensor]


@dataclass(frozen=True, kw_only=True, slots=True)
class Published:
    """One file of golden values, and what the importer calls such a network."""

    kind: str
    suffix: str
    write: Callable[[Path, State], Path]  # in the publisher's format
    atol: float  # of the raw network; beside rtol 1e-5, as the golden values' README has both
    wrapped_atol: float
    prefix: str = ""  # before the names in the golden file


def _write_edm(path: Path, state: State) -> Path:
    return write_edm(path, {"ema": edm_tree(state, img_resolution=16), "augment_pipe": None})


def _adm(kind: str, atol: float, wrapped_atol: float) -> Published:
    return Published(kind=kind, suffix=".pt", write=write_torch, atol=atol, wrapped_atol=wrapped_atol)


_EDM = Published(kind="edm-cifar10", suffix=".pkl", write=_write_edm, atol=2e-5, wrapped_atol=2e-5)
PUBLISHED: Mapping[str, Published] = {
    "jcm_ncsnpp_A": Published(
        kind="consistency-cifar10", suffix="", write=write_flax, atol=2e-5, wrapped_atol=2e-5, prefix="params_ema/"
    ),
    "edm_ddpmpp_A": _EDM,
    "edm_ncsnpp_A": _EDM,
    "cm_unet_cond_A": _adm("consistency-imagenet64", 5e-4, 2e-4),
    "cm_unet_uncond_A": _adm("consistency-imagenet64", 5e-4, 2e-4),
    "improved_diffusion_unet_A": _adm("improved-diffusion-cifar10", 3e-4, 3e-4),
    "guided_diffusion_unet_A": _adm("guided-diffusion-256", 3e-4, 3e-4),
}
_NCSNPP_FIELDS = {
    "nf": "model_channels",
    "ch_mult": "channel_mult",
    "num_res_blocks": "num_blocks",
    "attn_resolutions": "attn_resolutions",
    "image_size": "img_resolution",
}


def network_fields(values: Golden) -> dict[str, Any]:
    """Return the publisher's own description of a network, as fields of our configuration."""
    theirs = values.config
    if theirs.get("network") == "NCSNpp":
        return {ours: theirs["changed"][name] for name, ours in _NCSNPP_FIELDS.items()}
    if theirs.get("network") != "UNetModel":
        return {name: value for name, value in theirs.items() if name in _names(SongUNetConfig)}
    same = {name: value for name, value in theirs.items() if name in _names(AdmUNetConfig) - {"qkv_order"}}
    # Upstream gives what the image's height is divided by.
    heights = [theirs["image_size"] // factor for factor in theirs["attention_resolutions"]]
    return same | {"attention_resolutions": heights, "num_classes": theirs["num_classes"] or 0}


def _names(config: Any) -> set[str]:
    return {field.name for field in fields(config)}


def published_state(name: str) -> dict[str, Tensor]:
    """Return the weights of a golden file under the names of its publisher."""
    return golden(name).state(PUBLISHED[name].prefix)


def write_published(folder: Path, name: str, state: State | None = None) -> Path:
    """Write the weights of a golden file, or ``state`` in their place, as their publisher does."""
    case = PUBLISHED[name]
    path = folder / f"{name}{case.suffix}"
    if name == "jcm_ncsnpp_A" and state is None:
        path.write_bytes(shared("vectors/networks/jcm_checkpoint_A.msgpack").read_bytes())
        return path
    return case.write(path, published_state(name) if state is None else state)


def write_classifier(folder: Path) -> Path:
    """Write a small CIFAR ResNet of random weights."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = ResNet(ResNetConfig(classes=10, blocks=(1, 1, 1)))
    return write_torch(folder / "classifier.pth", network.state_dict())


def import_purifier(
    kind: str,
    path: Path,
    network: Mapping[str, Any] | None = None,
    *,
    changes: Mapping[str, Any] | None = None,
    **choices: Any,
) -> Model:
    """Return the model of a purifier's file and a small classifier, which is written beside it.

    Args:
        kind: Of the purifier.
        path: The purifier's file.
        network: Fields of the network that differ from the published ones.
        changes: Fields of the purifier that differ from the published ones.
        choices: Further fields of ImportSpec.
    """
    config = write_json(path.parent / "config.json", {"network": network or {}, "purifier": changes or {}})
    classifier = Source(kind="cifar-resnet", path=write_classifier(path.parent))
    purifier = Source(kind=kind, path=path)
    return import_model(ImportSpec(purifier=purifier, classifier=classifier, config=config, **choices))


def import_published(folder: Path, name: str, path: Path | None = None, **choices: Any) -> Model:
    """Return the model of a golden file, as its publisher writes it or as it lies at ``path``."""
    path = path or write_published(folder, name)
    return import_purifier(PUBLISHED[name].kind, path, network_fields(golden(name)), **choices)
