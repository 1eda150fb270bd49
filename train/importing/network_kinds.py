"""The kinds of purifier checkpoint: what file each is, its network, and the purifiers that can be made of it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from torch import Tensor, nn

from purecert.engine.errors import InputError
from purecert.train.importing.choices import Note, silent
from purecert.train.importing.plain_weights import read_weights, without_prefix
from purecert.train.networks.adm.presets import (
    CONSISTENCY_IMAGENET64,
    CONSISTENCY_IMAGENET64_UNCONDITIONAL,
    GUIDED_DIFFUSION_256,
    IMPROVED_DIFFUSION_CIFAR10,
)
from purecert.train.networks.adm.unet import AdmUNet, AdmUNetConfig
from purecert.train.networks.film_unet import FilmUNet, FilmUNetConfig
from purecert.train.networks.plain_denoisers import UNSHUFFLE, Dncnn, Ffdnet, PlainDenoiserConfig
from purecert.train.networks.song.presets import CONSISTENCY_CIFAR10, EDM_CIFAR10_VE, EDM_CIFAR10_VP
from purecert.train.networks.song.unet import SongUNet, SongUNetConfig
from purecert.train.purifiers.diffusion import DiffusionConfig
from purecert.train.purifiers.edm import OdeConfig
from purecert.train.purifiers.gaussian import GaussianConfig
from purecert.train.purifiers.karras import KarrasConfig
from purecert.train.readers.diffusers_files import read_diffusers
from purecert.train.readers.edm_files import EdmArguments, read_edm
from purecert.train.readers.flax_files import read_flax, train_state
from purecert.train.readers.names.flax import song_unet_state
from purecert.train.strict.configuration import build_config, override, plain_config
from purecert.train.strict.state import build_empty, load_strictly

Overrides = Mapping[str, Any]  # fields of the network's configuration that differ from the published one


class ReadNetwork(Protocol):
    """Reads a network from a file, of which some fields are not as published."""

    def __call__(self, path: Path, overrides: Overrides, note: Note = silent) -> nn.Module: ...


@dataclass(frozen=True, kw_only=True, slots=True)
class NetworkKind:
    """One kind of purifier checkpoint."""

    expects: str  # the file, in words
    read: ReadNetwork
    purifiers: Mapping[str, Any]  # kind of purifier -> its configuration as published; the first is the default


def _fill(build: Callable[[], nn.Module], weights: Mapping[str, Tensor], path: Path) -> nn.Module:
    return load_strictly(build_empty(build, str(path)), weights, str(path))


def _read_adm(preset: AdmUNetConfig) -> ReadNetwork:
    def read(path: Path, overrides: Overrides, note: Note = silent) -> nn.Module:
        config = override(preset, overrides, f"{path}: network")
        return _fill(lambda: AdmUNet(config), read_weights(path, note), path)

    return read


def _read_any_adm(path: Path, overrides: Overrides, note: Note = silent) -> nn.Module:
    config = build_config(AdmUNetConfig, overrides, f"{path}: network")  # nothing is assumed, the qkv order above all
    return _fill(lambda: AdmUNet(config), read_weights(path, note), path)


def _read_large_consistency(path: Path, overrides: Overrides, note: Note = silent) -> nn.Module:
    weights = read_weights(path, note)
    is_conditional = "label_emb.weight" in weights
    preset = CONSISTENCY_IMAGENET64 if is_conditional else CONSISTENCY_IMAGENET64_UNCONDITIONAL
    config = override(preset, overrides, f"{path}: network")
    return _fill(lambda: AdmUNet(config), weights, path)


def _read_diffusers(path: Path, overrides: Overrides, note: Note = silent) -> nn.Module:
    found, weights = read_diffusers(path)
    config = override(found, overrides, f"{path}: network")
    return _fill(lambda: AdmUNet(config), weights, path)


def _read_small_consistency(path: Path, overrides: Overrides, note: Note = silent) -> nn.Module:
    config = override(CONSISTENCY_CIFAR10, overrides, f"{path}: network")
    if path.suffix == ".safetensors":
        weights = read_weights(path, note)
    else:
        weights = _name_leaves(train_state(read_flax(path), str(path)), config, path)
        note(f"weights of {path.name}: the averaged ones under params_ema, not the plain ones under params")
    return _fill(lambda: SongUNet(config), weights, path)


def _name_leaves(params: Mapping[str, Any], config: SongUNetConfig, path: Path) -> dict[str, Tensor]:
    try:
        return song_unet_state(params, config)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def _read_edm(path: Path, overrides: Overrides, note: Note = silent) -> nn.Module:
    found = None if path.suffix == ".safetensors" else read_edm(path)
    if found is not None:
        note(f"weights of {path.name}: the averaged ones under ema")
    weights = without_prefix(read_weights(path, note) if found is None else found.tensors, "model.")
    preset = EDM_CIFAR10_VE if "map_noise.freqs" in weights else EDM_CIFAR10_VP
    if (labels := weights.get("map_label.weight")) is not None and labels.dim() == 2:
        preset = replace(preset, label_dim=labels.shape[1])
    config = override(preset, overrides, f"{path}: network")
    if found is not None:
        _check_recorded(found.arguments, config, path)
    return _fill(lambda: SongUNet(config), weights, path)


def _check_recorded(recorded: Mapping[str, EdmArguments], config: SongUNetConfig, path: Path) -> None:
    """Refuse a pickle that says of itself that it is another network, or of another parametrisation.

    VPPrecond and VEPrecond hold the same weights' names as EDMPrecond and mean other images by them.
    """
    wrapper = recorded.get("")
    if wrapper is not None and wrapper.class_name != "EDMPrecond":
        raise InputError(f"{path}: expected a network in EDMPrecond, found one in {wrapper.class_name!r}")
    values: dict[str, object] = {}
    for arguments in recorded.values():
        values |= arguments.keyword
    expected = plain_config(config) | {"sigma_data": _EDM_SIGMA_DATA}
    del expected["dropout"]  # of training only
    for name, value in values.items():
        plain = list(value) if isinstance(value, tuple) else value
        wanted = list(expected[name]) if isinstance(expected.get(name), tuple) else expected.get(name)
        if name in expected and plain != wanted:
            raise InputError(f"{path}: expected {name} {wanted}, found {plain}; state it in --purifier-config")


def _read_any_song(path: Path, overrides: Overrides, note: Note = silent) -> nn.Module:
    config = build_config(SongUNetConfig, overrides, f"{path}: network")
    return _fill(lambda: SongUNet(config), read_weights(path, note), path)


def _read_film(path: Path, overrides: Overrides, note: Note = silent) -> nn.Module:
    config = override(FilmUNetConfig(), overrides, f"{path}: network")
    return _fill(lambda: FilmUNet(config), read_weights(path, note), path)


def _read_chain(kind: type[Ffdnet] | type[Dncnn]) -> ReadNetwork:
    def read(path: Path, overrides: Overrides, note: Note = silent) -> nn.Module:
        weights = read_weights(path, note, own="model.")
        config = override(_chain_shape(weights, kind, path), overrides, f"{path}: network")
        return _fill(lambda: kind(config), weights, path)

    return read


def _chain_shape(weights: Mapping[str, Tensor], kind: type[Ffdnet] | type[Dncnn], path: Path) -> PlainDenoiserConfig:
    """Return the shape that the weights have; where they have none, the load names what is missing."""
    layers = [value for name, value in weights.items() if name.endswith(".weight") and value.dim() == 4]
    if len(layers) < 2:
        return PlainDenoiserConfig()
    outputs, inputs = layers[0].shape[:2]
    channels = (inputs - 1) // UNSHUFFLE**2 if kind is Ffdnet else inputs
    depth = len({name.rpartition(".")[0] for name in weights})
    found = {"channels": max(channels, 1), "width": outputs, "depth": depth}
    return build_config(PlainDenoiserConfig, found, str(path))


def _karras(model: KarrasConfig) -> dict[str, Any]:
    """Return the purifiers of a network of Karras et al.'s parametrisation, a consistency model's first."""
    return {"consistency": model, "edm": model, "ode": OdeConfig(model=model)}


_EDM_SIGMA_DATA = 0.5
_GRID_18 = KarrasConfig(time_rule="nearest-2sigma", grid_points=18)
_GRID_40 = replace(_GRID_18, grid_points=40, label_scale=1000.0)
_EDM = {"edm": _GRID_18, "ode": OdeConfig(model=_GRID_18)}
_COSINE = DiffusionConfig(schedule="cosine", steps=4000, rescale_times=True, learns_variance=True)
_LINEAR = DiffusionConfig(schedule="linear", steps=1000)

NETWORK_KINDS: Mapping[str, NetworkKind] = {
    "consistency-cifar10": NetworkKind(
        expects="OpenAI's CIFAR-10 consistency models (jcm), flax, of which params_ema is taken; edm_cifar10_ema is a "
        "denoiser: choose family edm",
        read=_read_small_consistency,
        purifiers=_karras(_GRID_18),
    ),
    "consistency-imagenet64": NetworkKind(
        expects="OpenAI's 64x64 consistency models, .pt, qkv rows ordered three-heads-dim; its edm_imagenet64_ema is a "
        "denoiser: choose family edm",
        read=_read_large_consistency,
        purifiers=_karras(_GRID_40),
    ),
    "edm-cifar10": NetworkKind(
        expects="NVIDIA's EDM pickles for CIFAR-10, VP or VE; no code in them is run",
        read=_read_edm,
        purifiers=_EDM,
    ),
    "improved-diffusion-cifar10": NetworkKind(
        expects="improved-diffusion's cifar10_uncond_50M_500K.pt; qkv rows ordered heads-three-dim",
        read=_read_adm(IMPROVED_DIFFUSION_CIFAR10),
        purifiers={"ddpm": _COSINE},
    ),
    "guided-diffusion-256": NetworkKind(
        expects="guided-diffusion's 256x256_diffusion_uncond.pt; qkv rows ordered heads-three-dim",
        read=_read_adm(GUIDED_DIFFUSION_256),
        purifiers={"ddpm": replace(_LINEAR, learns_variance=True)},
    ),
    "diffusers": NetworkKind(
        expects="a diffusers UNet2DModel folder of a consistency model, such as openai/diffusers-cd_imagenet64_l2",
        read=_read_diffusers,
        purifiers=_karras(_GRID_40),
    ),
    "film-ddpm": NetworkKind(
        expects="a DDPM of a FiLM-conditioned U-Net (hirokiuemura2/Diffusion-with-CIFAR-10), .pth",
        read=_read_film,
        purifiers={"ddpm": _LINEAR},
    ),
    "ffdnet": NetworkKind(
        expects="FFDNet of KAIR, .pth", read=_read_chain(Ffdnet), purifiers={"gaussian": GaussianConfig()}
    ),
    "dncnn": NetworkKind(
        expects="blind DnCNN of KAIR, .pth",
        read=_read_chain(Dncnn),
        purifiers={"gaussian": GaussianConfig(predicts="noise")},
    ),
    "adm": NetworkKind(
        expects="any network of the ADM family, described by --purifier-config, which must state its qkv_order",
        read=_read_any_adm,
        # As every published consistency model of this family has it: the network's time input is 250 ln t.
        purifiers={**_karras(KarrasConfig(label_scale=1000.0)), "ddpm": _LINEAR},
    ),
    "song-unet": NetworkKind(
        expects="any network of the EDM and NCSN++ family, described by --purifier-config",
        read=_read_any_song,
        purifiers=_karras(KarrasConfig()),
    ),
}
