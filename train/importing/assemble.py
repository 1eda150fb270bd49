"""A purifier checkpoint and a classifier checkpoint as one model."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from torch import nn

from purecert.engine.errors import InputError
from purecert.train.importing.choices import Note, note_network, note_purifier
from purecert.train.importing.classifier import Classifier
from purecert.train.importing.classifier_input import prepared
from purecert.train.importing.classifier_kinds import CLASSIFIER_KINDS
from purecert.train.importing.hugging_face.hub import fetch, is_hub
from purecert.train.importing.network_kinds import NETWORK_KINDS, NetworkKind
from purecert.train.models.checkpoints import Model
from purecert.train.models.compatibility import check_compatible
from purecert.train.models.kinds import PREPROCESSINGS, PURIFIERS
from purecert.train.networks.adm.unet import AdmUNet
from purecert.train.networks.class_token import replace_classes_by_token, replace_labels_by_mean
from purecert.train.networks.film_unet import FilmUNet
from purecert.train.networks.song.unet import SongUNet
from purecert.train.purifiers.base import Purifier
from purecert.train.purifiers.identity import IdentityConfig, IdentityPurifier
from purecert.train.readers.json_files import read_object
from purecert.train.strict.configuration import override, plain_config

IDENTITY = "identity"
_OF_THE_HUB = ("hf", "hf-vit", "timm")  # kinds that read a folder of Hugging Face's hub


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """One checkpoint: its kind, and where it lies."""

    kind: str
    path: Path | None  # None for the identity purifier, which has no weights

    def __post_init__(self) -> None:
        if (self.path is None) != (self.kind == IDENTITY):
            raise ValueError(f"every kind but {IDENTITY} needs a path, got {self.kind} and {self.path}")

    @classmethod
    def parse(cls, text: str) -> "Source":
        """Return what KIND=PATH says.

        Raises:
            InputError: It is neither that nor ``identity``.
        """
        kind, separator, path = text.partition("=")
        if kind == IDENTITY and not separator:
            return cls(kind=kind, path=None)
        if not separator or not path:
            raise InputError(f"expected KIND=PATH, got {text!r}; `engine-import --list` names the kinds")
        if kind == IDENTITY:
            raise InputError(f"expected {IDENTITY} alone, since it has no file, got {text!r}")
        return cls(kind=kind, path=Path(path))


@dataclass(frozen=True, kw_only=True, slots=True)
class ImportSpec:
    """What is imported, and what is chosen where a checkpoint leaves it open."""

    purifier: Source
    classifier: Source
    family: str | None = None  # which purifier is made of the network; None: the kind's first
    time_rule: str | None = None  # None: as published
    steps: int | None = None  # of the ODE
    clip: bool | None = None
    config: Path | None = None  # JSON with "network" and "purifier": fields that differ from the published ones
    preprocessing: Literal["fast", "exact"] = "fast"
    # None: as the classifier's files record, else bilinear. Bicubic is antialiased, as in the code of Carlini et al.
    resize: Literal["bilinear", "bicubic"] | None = None
    mean: tuple[float, ...] | None = None  # per channel on the [0, 1] scale; None: as the kind's publisher trained
    std: tuple[float, ...] | None = None
    classifier_size: int | None = None  # height of what the classifier sees; None: as the kind's publisher trained
    image_size: int | None = None  # where the purifier's network does not fix it
    data: str | None = None
    licence: str = ""


def import_model(spec: ImportSpec) -> Model:
    """Return the model that two checkpoints make, with a line for each choice that they leave open.

    A network that is conditional on classes gets their mean in their place.

    Raises:
        InputError: A kind or choice is unknown, a file is unreadable, hostile or does not fit its kind exactly, or the
            two networks do not fit together.
        BackendError: A classifier's library is not installed.
    """
    choices: list[str] = []
    read = _local(spec.classifier, choices.append)
    classifier = _read_classifier(read, choices.append)
    purifier = _read_purifier(spec, choices.append)
    size = _image_size(purifier, spec, classifier, choices.append)
    wanted = prepared(classifier, spec, size, choices.append)
    choices.append(f"preprocessing: {spec.preprocessing}")
    shape = (len(wanted.mean), size, size)
    preprocessing = PREPROCESSINGS[spec.preprocessing].module(wanted).eval()
    network, classes = classifier.network, classifier.classes
    check_compatible(purifier.eval(), network, preprocessing, shape, classes, "the two checkpoints")
    return Model(
        purifier=purifier,
        classifier=classifier.network,
        preprocessing=preprocessing,
        input_shape=shape,
        classes=classifier.classes,
        class_names=classifier.class_names,
        data=spec.data,
        sources=tuple(_name_source(source) for source in (spec.purifier, read)),
        licence=spec.licence,
        choices=tuple(choices),
    )


def _local(source: Source, note: Note) -> Source:
    """Return ``source`` on this machine; a model of the hub is fetched."""
    is_remote = source.path is not None and source.kind in _OF_THE_HUB and is_hub(source.path)
    return replace(source, path=fetch(source.path, note)) if is_remote and source.path else source


def _read_classifier(source: Source, note: Note) -> Classifier:
    kind, _, name = source.kind.partition(":")
    if kind not in CLASSIFIER_KINDS or source.path is None:
        raise InputError(f"expected a classifier kind out of {', '.join(CLASSIFIER_KINDS)}, got {source.kind!r}")
    if name and not CLASSIFIER_KINDS[kind].takes_name:
        raise InputError(f"expected {kind}=PATH, got the name {name!r} after the kind, which has none")
    return CLASSIFIER_KINDS[kind].read(source.path, name, note)


def _read_purifier(spec: ImportSpec, note: Note) -> Purifier:
    if spec.purifier.path is None:
        _refuse_choices(spec, ("family", "time_rule", "steps", "clip", "config"))
        return IdentityPurifier(IdentityConfig())
    if spec.purifier.kind not in NETWORK_KINDS:
        known = ", ".join((*NETWORK_KINDS, IDENTITY))
        raise InputError(f"expected a purifier kind out of {known}, got {spec.purifier.kind!r}")
    kind, changes = NETWORK_KINDS[spec.purifier.kind], _read_changes(spec.config)
    family = spec.family or next(iter(kind.purifiers))
    config = _choose(kind, family, changes["purifier"], spec)
    network = _unconditional(kind.read(spec.purifier.path, changes["network"], note), note)
    note_network(note, network)
    note_purifier(note, tuple(kind.purifiers), family, plain_config(config), plain_config(kind.purifiers[family]))
    module: Purifier = PURIFIERS[family].module(config, network)
    return module


def _refuse_choices(spec: ImportSpec, names: tuple[str, ...]) -> None:
    for name in names:
        if getattr(spec, name) is not None:
            raise InputError(f"expected no {name.replace('_', ' ')} with purifier {spec.purifier.kind}, which has none")


def _read_changes(path: Path | None) -> dict[str, Mapping[str, Any]]:
    """Return the fields that a JSON file gives, under ``network`` and ``purifier``."""
    if path is None:
        return {"network": {}, "purifier": {}}
    content = read_object(path, "the objects network and purifier")
    if unknown := [key for key in content if key not in ("network", "purifier")]:
        raise InputError(f"{path}: unknown key {unknown[0]!r}; known are network, purifier")
    if not all(isinstance(part, dict) for part in content.values()):
        raise InputError(f"{path}: expected objects under network and purifier, found another value")
    return {"network": {}, "purifier": {}, **content}


def _choose(kind: NetworkKind, family: str, changes: Mapping[str, Any], spec: ImportSpec) -> Any:
    """Return the purifier's configuration: as published, except for the choices of the file and the user."""
    if family not in kind.purifiers:
        raise InputError(f"expected a family out of {', '.join(kind.purifiers)} for this kind, got {family!r}")
    published = kind.purifiers[family]
    config = override(published, _merge(plain_config(published), changes), "purifier")
    chosen = {name: getattr(spec, name) for name in ("time_rule", "clip") if getattr(spec, name) is not None}
    if family == "ode":
        steps = {} if spec.steps is None else {"steps": spec.steps}
        return override(replace(config, model=_set(config.model, chosen, family)), steps, "purifier")
    if spec.steps is not None:  # a DDPM's own steps are another thing: the length of its schedule
        raise InputError(f"expected no steps for family {family}, which takes one")
    return _set(config, chosen, family)


def _merge(published: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``published`` with some fields replaced; of fields that are mappings themselves, only those named."""
    inner = {name: value for name, value in changes.items() if isinstance(value, Mapping)}
    merged = {name: _merge(published[name], value) for name, value in inner.items() if _is_mapping(published, name)}
    return {**published, **changes, **merged}


def _is_mapping(values: Mapping[str, Any], name: str) -> bool:
    return isinstance(values.get(name), Mapping)


def _set(config: Any, chosen: Mapping[str, Any], family: str) -> Any:
    if unknown := [name for name in chosen if not hasattr(config, name)]:
        raise InputError(f"expected no {unknown[0].replace('_', ' ')} for family {family}, which has none")
    return override(config, chosen, f"family {family}")


def _unconditional(network: nn.Module, note: Note) -> nn.Module:
    if isinstance(network, AdmUNet) and network.config.num_classes:
        note(f"class: the mean of the embeddings of {network.config.num_classes} classes")
        return replace_classes_by_token(network)
    if isinstance(network, FilmUNet) and network.config.classes:
        note(f"class: the mean of the embeddings of {network.config.classes} classes")
        return replace_classes_by_token(network)
    if isinstance(network, SongUNet) and network.config.label_dim:
        note(f"class label: 1/{network.config.label_dim} each")
        return replace_labels_by_mean(network)
    return network


def _image_size(purifier: Purifier, spec: ImportSpec, classifier: Classifier, note: Note) -> int:
    """Return the height and width of the images: the purifier's, where it has one size, else what was asked for."""
    network = getattr(purifier, "network", None)
    fixed = network.config.img_resolution if isinstance(network, SongUNet) else None
    fixed = network.config.image_size if isinstance(network, AdmUNet) else fixed
    if fixed and spec.image_size not in (None, fixed):
        raise InputError(f"expected --image-size {fixed}, which the purifier was made for, got {spec.image_size}")
    size = fixed or spec.image_size or classifier.image_size
    if size is None:
        raise InputError("expected --image-size, since neither purifier nor classifier fixes the size of the images")
    if not fixed:
        note(f"image size: {size} ({'given' if spec.image_size else 'the classifier was trained on it'})")
    return int(size)


def _name_source(source: Source) -> str:
    if source.path is None:
        return source.kind
    if not source.path.is_dir():
        return f"{source.kind}: {_name_file(source.path)}"
    files = sorted(file for file in source.path.iterdir() if file.is_file())
    weights = [file for file in files if file.suffix in (".safetensors", ".bin")]
    return f"{source.kind}: {source.path.resolve().name}/ with {'; '.join(_name_file(file) for file in weights)}"


def _name_file(path: Path) -> str:
    with path.open("rb") as file:
        return f"{path.name}, sha256 {hashlib.file_digest(file, 'sha256').hexdigest()}"
