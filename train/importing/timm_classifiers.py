"""Classifiers that timm can build: from the weights of one that is named, or from a folder that names it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from torch import Tensor

from purecert.engine.errors import BackendError, InputError, one_line
from purecert.train.importing.choices import Note, silent
from purecert.train.importing.classifier import Classifier
from purecert.train.importing.hugging_face.classifiers import weights_file
from purecert.train.importing.plain_weights import layer_weight, read_weights
from purecert.train.importing.timm_folder import read_folder
from purecert.train.models.preprocessing import PreprocessingConfig
from purecert.train.networks.vit import TimmClassifier, TimmConfig
from purecert.train.readers.opened import on_one_line
from purecert.train.strict.configuration import build_config
from purecert.train.strict.state import LIBRARIES_RAISE, build_empty, load_strictly


def read_timm(path: Path, name: str, note: Note = silent) -> Classifier:
    """Return a classifier of timm.

    Args:
        path: Its weights; without a name, a folder with config.json and weights, as timm's save_for_hf writes it.
        name: As timm lists it, or empty.
        note: Takes what the files leave open.

    Raises:
        BackendError: timm is not installed.
        InputError: timm has no such model, a weight does not fit, or the folder asks for another network than timm's.
    """
    if not name:
        return _read_folder(path, note)
    network = _filled(path, {"name": name}, note)
    recorded = dict(cast(Any, network.network).pretrained_cfg)
    if recorded.get("crop_pct", 1) != 1:
        _note_crop(note, f"crop_pct {recorded['crop_pct']}")
    because, wanted = f"as timm records for {_tag(name, recorded)}", None
    if len(recorded["mean"]) == network.config.channels:
        size = recorded["input_size"][-1]
        wanted = PreprocessingConfig(mean=tuple(recorded["mean"]), std=tuple(recorded["std"]), size=size)
    else:
        because = f"given, since timm records that of {len(recorded['mean'])} channels"
    resample = None if wanted is None else str(recorded["interpolation"])
    return Classifier(network.eval(), network.config.classes, wanted, because, resample=resample)


def _read_folder(path: Path, note: Note) -> Classifier:
    if not path.is_dir():
        raise InputError(
            f"expected timm:NAME=FILE, timm=FOLDER with a folder that is there, or timm=hub:OWNER/NAME, got timm={path}"
        )
    folder = read_folder(path)
    network = _filled(weights_file(path), folder.network(), note)
    classes, channels = network.config.classes, network.config.channels
    folder.check(classes, channels)
    if folder.crop:
        _note_crop(note, folder.crop)
    names = folder.label_names
    if names and len(names) != classes:
        note(f"class names: none, since config.json names {len(names)} of {classes} classes")
        names = ()
    fields = {"mean": list(folder.mean), "std": list(folder.std), "size": folder.size}
    wanted = build_config(PreprocessingConfig, fields, f"{folder.where}: pretrained_cfg")
    because = "as config.json records"
    return Classifier(network.eval(), classes, wanted, because, resample=folder.interpolation, class_names=names)


def _note_crop(note: Note, recorded: str) -> None:
    note(f"crop: none, the whole image is resized; timm records {recorded}")


def _filled(path: Path, told: Mapping[str, Any], note: Note) -> TimmClassifier:
    """Return the network of the fields ``told``, with the weights of a file, which say the classes and channels."""
    weights = read_weights(path, note)
    plain = build_empty(lambda: _build({**told, "classes": 2}, path), str(path))
    classes = layer_weight(weights, f"{_head(plain, path)}.weight", path).shape[0]
    whole = {**told, "classes": classes, "channels": _channels(plain, weights)}
    # What does not fit is refused before memory is taken for the network.
    load_strictly(build_empty(lambda: _build(whole, path), str(path)).network, weights, str(path))
    network = _build(whole, path)
    load_strictly(network.network, weights, str(path))
    return network


def _tag(name: str, recorded: Mapping[str, Any]) -> str:
    """Return the name with the tag of the weights whose input timm records: others may have been trained otherwise."""
    tag = recorded.get("tag")
    return f"{name}.{tag}, its default weights" if tag and "." not in name else name


def _channels(network: TimmClassifier, weights: Mapping[str, Tensor]) -> int:
    """Return how many channels ``weights`` take, where timm says which layer is the first; else three.

    Args:
        network: The same of three channels; its first layer may see each of them several times.
        weights: Of the file.
    """
    first = cast(Any, network.network).pretrained_cfg.get("first_conv")
    first = first[0] if isinstance(first, tuple | list) and first else first
    given, usual = weights.get(f"{first}.weight"), network.network.state_dict().get(f"{first}.weight")
    if given is None or usual is None or given.dim() != 4 or usual.dim() != 4:
        return 3
    channels, rest = divmod(3 * given.shape[1], usual.shape[1])
    return 3 if rest or not channels else channels


def _build(fields: Mapping[str, Any], path: Path) -> TimmClassifier:
    config = build_config(TimmConfig, fields, f"timm:{on_one_line(fields['name'])}")
    try:
        return TimmClassifier(config)
    except LIBRARIES_RAISE as error:
        raise InputError(f"{path}: timm cannot build {config.name} of these sizes: {one_line(error)}") from error
    except ImportError as error:
        raise BackendError(f"timm is installed, but cannot be imported ({error})") from error


def _head(network: TimmClassifier, path: Path) -> str:
    """Return the name of the layer that gives the logits; of two that are averaged, the first."""
    found = cast(Any, network.network).pretrained_cfg.get("classifier")
    found = found[0] if isinstance(found, tuple | list) and found else found
    if not isinstance(found, str):
        raise InputError(f"{path}: expected a classifier, and timm records no last layer for {network.config.name}")
    return found
