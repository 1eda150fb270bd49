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
from purecert.train.models.preprocessing import PreprocessingConfig
from purecert.train.networks.vit import TimmClassifier, TimmConfig
from purecert.train.readers.json_files import read_object
from purecert.train.strict.configuration import build_config
from purecert.train.strict.state import build_empty, load_strictly

# What config.json tells of the input; timm's table has the same names.
_INPUT = {"mean": list, "std": list, "input_size": list, "interpolation": str}
_OF_WEIGHTS = ("num_classes", "in_chans")  # of model_args, the ones that are read off the weights
_OPTIONS = ("global_pool", "img_size")  # and those that are passed on; others may fetch or load files


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
    if name:
        network = _filled(path, {"name": name}, note)
        recorded = _recorded(network)
        return _classifier(network, recorded, f"as timm records for {_tag(name, recorded)}", (), note)
    if not path.is_dir():
        raise InputError(f"expected timm:NAME=FILE, timm=FOLDER or timm=hub:OWNER/NAME, got timm={path}")
    where = path / "config.json"
    content = read_object(where, "the configuration of a model of timm")
    network = _filled(weights_file(path), _told_network(where, content), note)
    recorded = _recorded(network) | _told_input(where, content)
    names = _class_names(content, network.config.classes)
    return _classifier(network, recorded, "as config.json records", names, note)


def _filled(path: Path, told: Mapping[str, Any], note: Note) -> TimmClassifier:
    """Return the network of the fields ``told``, with the weights of a file, which say the classes and channels."""
    weights = read_weights(path, note)
    plain = build_empty(lambda: _build({**told, "classes": 2}), str(path))
    classes = layer_weight(weights, f"{_head(plain, path)}.weight", path).shape[0]
    network = _build({**told, "classes": classes, "channels": _channels(plain, weights)})
    load_strictly(network.network, weights, str(path))
    return network


def _classifier(
    network: TimmClassifier, recorded: Mapping[str, Any], because: str, class_names: tuple[str, ...], note: Note
) -> Classifier:
    if recorded.get("crop_pct", 1) != 1:
        note(f"crop: none, the whole image is resized; timm records crop_pct {recorded['crop_pct']}")
    wanted, classes = _input(recorded, network), network.config.classes
    if wanted is None:
        because = "given, since timm records that of three channels"
    resample = None if wanted is None else str(recorded["interpolation"])
    return Classifier(network.eval(), classes, wanted, because, resample=resample, class_names=class_names)


def _told_network(where: Path, content: Mapping[str, Any]) -> dict[str, Any]:
    """Return the name and the options that config.json gives the model, refusing options that are not known."""
    name, options = content.get("architecture"), content.get("model_args") or {}
    if not isinstance(name, str) or not isinstance(options, dict):
        raise InputError(f"{where}: expected the entry architecture, a name that timm lists, found another or none")
    if strange := sorted(set(options) - {*_OF_WEIGHTS, *_OPTIONS}):
        raise InputError(
            f"{where}: expected a model of timm as it is listed, found model_args {', '.join(strange)}; build it in "
            "Python with them, and export it as python:FILE.py:NAME"
        )
    return {"name": name} | {option: options[option] for option in _OPTIONS if options.get(option) is not None}


def _told_input(where: Path, content: Mapping[str, Any]) -> dict[str, Any]:
    """Return the input that config.json records: under pretrained_cfg, or in old files beside the architecture."""
    told = content.get("pretrained_cfg", content)
    found = {entry: told.get(entry) for entry in _INPUT} if isinstance(told, dict) else {}
    if wrong := [entry for entry, kind in _INPUT.items() if not isinstance(found.get(entry), kind)]:
        raise InputError(f"{where}: expected {', '.join(wrong)} of the input in pretrained_cfg, found none or another")
    size = found["input_size"]
    if not isinstance(size, list) or len(size) != 3 or size[1] != size[2]:
        raise InputError(f"{where}: expected input_size of channels, height and as much width, found {size}")
    build_config(PreprocessingConfig, _fields(found), f"{where}: pretrained_cfg")
    return {**found, "crop_pct": told.get("crop_pct", 1)}


def _fields(recorded: Mapping[str, Any]) -> dict[str, Any]:
    return {"mean": list(recorded["mean"]), "std": list(recorded["std"]), "size": recorded["input_size"][-1]}


def _class_names(content: Mapping[str, Any], classes: int) -> tuple[str, ...]:
    """Return the names that config.json gives the classes; none where it does not give one to each."""
    named = content.get("label_names", content.get("labels"))
    if isinstance(named, dict) and set(named) == {str(place) for place in range(len(named))}:
        named = [named[str(place)] for place in range(len(named))]
    is_all = isinstance(named, list) and len(named) == classes and all(isinstance(each, str) for each in named)
    return tuple(named) if is_all and isinstance(named, list) else ()


def _recorded(network: TimmClassifier) -> dict[str, Any]:
    return dict(cast(Any, network.network).pretrained_cfg)


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


def _build(fields: Mapping[str, Any]) -> TimmClassifier:
    config = build_config(TimmConfig, fields, f"timm:{fields['name']}")
    try:
        return TimmClassifier(config)
    except (ValueError, RuntimeError, TypeError) as error:  # for a tag that it does not list; for other options
        raise InputError(one_line(error)) from error
    except ImportError as error:
        raise BackendError(f"timm is installed, but cannot be imported ({error})") from error


def _head(network: TimmClassifier, path: Path) -> str:
    """Return the name of the layer that gives the logits; of two that are averaged, the first."""
    found = cast(Any, network.network).pretrained_cfg.get("classifier")
    found = found[0] if isinstance(found, tuple | list) and found else found
    if not isinstance(found, str):
        raise InputError(f"{path}: expected a classifier, and timm records no last layer for {network.config.name}")
    return found


def _input(recorded: Mapping[str, Any], network: TimmClassifier) -> PreprocessingConfig | None:
    """Return the input that is recorded for the model; None where it is of another number of channels."""
    if len(recorded["mean"]) != network.config.channels:
        return None
    return build_config(PreprocessingConfig, _fields(recorded), network.config.name)
