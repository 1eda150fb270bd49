"""Image classifiers of transformers from their folders: config.json, the weights, and preprocessor_config.json."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from purecert.engine.errors import InputError
from purecert.train.importing.choices import Note, silent
from purecert.train.importing.classifier import Classifier
from purecert.train.importing.hugging_face.input import FILE, read_hf_input
from purecert.train.importing.plain_weights import read_weights
from purecert.train.networks.hf import HfClassifier, HfConfig, hf_class, quiet, told
from purecert.train.readers.json_files import read_object
from purecert.train.readers.opened import on_one_line
from purecert.train.strict.configuration import build_config
from purecert.train.strict.state import load_strictly

_WEIGHTS = ("model.safetensors", "pytorch_model.bin")
# Entries of config.json that change no logit: names of classes and of files, precision of the file, what else a model
# returns, and settings of its training.
_LEFT_OUT = (
    *("model_type", "architectures", "id2label", "label2id", "num_labels", "problem_type"),
    *("torch_dtype", "dtype", "transformers_version"),
    *("return_dict", "use_return_dict", "output_hidden_states", "output_attentions"),
)
_WITHOUT_A_NAME = re.compile(r"LABEL_\d+")  # what the library calls classes without a name


def weights_file(folder: Path) -> Path:
    """Return where the weights of a folder lie.

    Raises:
        InputError: There are none, or they are spread over several files.
    """
    for name in _WEIGHTS:
        if (folder / name).is_file():
            return folder / name
    if parts := sorted(folder.glob("*.index.json")):
        raise InputError(f"{parts[0]}: expected weights in one file, found several; save the model again in one")
    raise InputError(f"{folder}: expected model.safetensors or pytorch_model.bin in it, found neither")


def read_hf(path: Path, name: str, note: Note = silent) -> Classifier:
    """Return the classifier of a folder, as transformers itself would load it; nothing in it is run.

    Raises:
        BackendError: transformers is not installed.
        InputError: The folder holds no image classifier that transformers knows, a weight does not fit, or its
            preprocessing is another than purecert's.
    """
    if not path.is_dir():
        raise InputError(
            f"{path}: expected a folder with config.json and weights, as save_pretrained writes it, found none; "
            "a model of Hugging Face's hub is hf=hub:OWNER/NAME"
        )
    content = read_object(path / "config.json", "the configuration of an image classifier")
    names = _class_names(path, content)
    config = _config(path, content, len(names))
    network = HfClassifier(config)
    weights = read_weights(weights_file(path), note, own=_own_prefix(network))
    load_strictly(network.network, _renamed(path, config, weights), str(path))
    found = read_hf_input(path, int(getattr(network.network.config, "num_channels", 3)), None)
    return Classifier(
        network=network.eval(),
        classes=config.classes,
        preprocessing=None if found is None else found.preprocessing,
        because=f"given, since there is no {FILE}" if found is None else found.because,
        resample=None if found is None else found.resample,
        class_names=_without_defaults(names),
    )


def told_class_names(path: Path) -> tuple[str, ...]:
    """Return the names that config.json of a folder gives the classes; none where it gives none.

    Raises:
        InputError: It is no JSON object, or gives names to other numbers than 0, 1, 2, ...
    """
    content = read_object(path / "config.json", "the configuration of an image classifier")
    return _without_defaults(_class_names(path, content)) if "id2label" in content else ()


def _without_defaults(names: tuple[str, ...]) -> tuple[str, ...]:
    return () if all(_WITHOUT_A_NAME.fullmatch(each) for each in names) else names


def _own_prefix(network: HfClassifier) -> str:
    """Return what the names of such a network begin with, if all begin alike."""
    first = {key.partition(".")[0] for key in network.network.state_dict()}
    return f"{first.pop()}." if len(first) == 1 else ""


def _class_names(path: Path, content: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the names of the classes in their order."""
    named = content.get("id2label")
    if named is None:
        count = content.get("num_labels", 2)  # as the library has it
        named = {str(place): f"LABEL_{place}" for place in range(count if type(count) is int and count < 10**6 else 0)}
    if not isinstance(named, dict) or not named or set(named) != {str(place) for place in range(len(named))}:
        raise InputError(
            f"{path / 'config.json'}: expected id2label with the names of classes 0, 1, 2, ..., found another"
        )
    return tuple(str(named[str(place)]) for place in range(len(named)))


def _config(path: Path, content: Mapping[str, Any], classes: int) -> HfConfig:
    where = path / "config.json"
    kind, architectures = content.get("model_type"), content.get("architectures")
    if not isinstance(kind, str) or not isinstance(architectures, list) or len(architectures) != 1:
        raise InputError(f"{where}: expected model_type and one of architectures, found others")
    if kind == "timm_wrapper":
        raise InputError(f"{where}: a model of timm; import its weights as timm:NAME=FILE")
    if (problem := content.get("problem_type")) not in (None, "single_label_classification"):
        raise InputError(f"{where}: expected problem_type single_label_classification, found {on_one_line(problem)}")
    rest = {key: value for key, value in content.items() if key not in _LEFT_OUT and not key.startswith("_")}
    fields = {"model_type": kind, "architecture": str(architectures[0]), "classes": classes}
    return build_config(HfConfig, fields | {"settings": json.dumps(rest, sort_keys=True)}, str(where))


def _renamed(path: Path, config: HfConfig, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the weights under the names of the library at hand, which reads those of its older versions.

    Raises:
        InputError: A weight is missing or left over.
    """
    kind, shape = hf_class(config)
    with quiet(), told(f"weights in {path} that transformers loads"):
        loaded, report = kind.from_pretrained(
            None,
            config=shape,
            state_dict=dict(weights),
            dtype=torch.float32,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # so that they are reported, and refused below
            local_files_only=True,
        )
    for key, found, expected in sorted(report["mismatched_keys"]):
        raise InputError(f"{path}: weight {key!r}: expected shape {list(expected)}, found {list(found)}")
    for words, key in (("weight {!r} is missing", "missing_keys"), ("unknown weight {!r}", "unexpected_keys")):
        if strange := sorted(report[key]):
            raise InputError(f"{path}: {words.format(strange[0])} ({len(strange)} in all)")
    if report["error_msgs"]:
        raise InputError(
            f"{path}: expected weights that transformers loads, got {on_one_line(report['error_msgs'][0])}"
        )
    state: dict[str, Tensor] = loaded.state_dict()
    return state
