"""A purifier checkpoint and a classifier checkpoint as one model."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from torch import nn

from purecert.engine.errors import InputError
from purecert.train.checkpoints import Model
from purecert.train.configuration import override
from purecert.train.importing.classifier_kinds import CLASSIFIER_KINDS, Classifier
from purecert.train.importing.network_kinds import NETWORK_KINDS, NetworkKind
from purecert.train.kinds import PREPROCESSINGS, PURIFIERS
from purecert.train.networks.adm_unet import AdmUNet
from purecert.train.networks.class_token import replace_classes_by_token
from purecert.train.networks.film_unet import FilmUNet
from purecert.train.networks.song_unet import SongUNet
from purecert.train.purifiers.base import Purifier
from purecert.train.purifiers.identity import IdentityConfig, IdentityPurifier

IDENTITY = "identity"


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """One checkpoint: its kind, and where it lies."""

    kind: str
    path: Path | None  # None for the identity purifier, which has no weights

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
    resize: Literal["bilinear", "bicubic"] = "bilinear"  # bicubic is antialiased, as in the code of Carlini et al.
    image_size: int | None = None  # where the purifier's network does not fix it
    data: str | None = None
    licence: str = ""


def import_model(spec: ImportSpec) -> Model:
    """Return the model that two checkpoints make.

    A network that is conditional on classes gets one learned vector in their place, their mean.

    Raises:
        InputError: A kind or choice is unknown, or a file is unreadable, hostile or does not fit its kind exactly.
        BackendError: A classifier's library is not installed.
    """
    classifier = _read_classifier(spec.classifier)
    purifier = _read_purifier(spec)
    size = _image_size(purifier, spec, classifier)
    channels = len(classifier.preprocessing.mean)
    wanted = _preprocess(classifier, spec, size)
    return Model(
        purifier=purifier.eval(),
        classifier=classifier.network,
        preprocessing=PREPROCESSINGS[spec.preprocessing].module(wanted).eval(),
        input_shape=(channels, size, size),
        classes=classifier.classes,
        data=spec.data,
        sources=tuple(_name_source(source) for source in (spec.purifier, spec.classifier)),
        licence=spec.licence,
    )


def _read_classifier(source: Source) -> Classifier:
    kind, _, name = source.kind.partition(":")
    if kind not in CLASSIFIER_KINDS or source.path is None:
        raise InputError(f"expected a classifier kind out of {', '.join(CLASSIFIER_KINDS)}, got {source.kind!r}")
    return CLASSIFIER_KINDS[kind].read(source.path, name)


def _read_purifier(spec: ImportSpec) -> Purifier:
    if spec.purifier.path is None:
        _refuse_choices(spec, ("family", "time_rule", "steps", "clip", "config"))
        return IdentityPurifier(IdentityConfig())
    if spec.purifier.kind not in NETWORK_KINDS:
        known = ", ".join((*NETWORK_KINDS, IDENTITY))
        raise InputError(f"expected a purifier kind out of {known}, got {spec.purifier.kind!r}")
    kind, changes = NETWORK_KINDS[spec.purifier.kind], _read_changes(spec.config)
    family = spec.family or next(iter(kind.purifiers))
    config = _choose(kind, family, changes["purifier"], spec)
    network = _unconditional(kind.read(spec.purifier.path, changes["network"]))
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
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: expected JSON with network and purifier ({type(error).__name__})") from error
    if not isinstance(content, dict) or not all(isinstance(part, dict) for part in content.values()):
        raise InputError(f"{path}: expected an object with the objects network and purifier")
    if unknown := [key for key in content if key not in ("network", "purifier")]:
        raise InputError(f"{path}: unknown key {unknown[0]!r}; known are network, purifier")
    return {"network": {}, "purifier": {}, **content}


def _choose(kind: NetworkKind, family: str, changes: Mapping[str, Any], spec: ImportSpec) -> Any:
    """Return the purifier's configuration: as published, but for the file's and the user's choices."""
    if family not in kind.purifiers:
        raise InputError(f"expected a family out of {', '.join(kind.purifiers)} for this kind, got {family!r}")
    config = override(kind.purifiers[family], changes, "purifier")
    chosen = {name: getattr(spec, name) for name in ("time_rule", "steps", "clip")}
    chosen = {name: value for name, value in chosen.items() if value is not None}
    if family == "ode":
        outer = {"steps": chosen.pop("steps")} if "steps" in chosen else {}
        return override(replace(config, model=_set(config.model, chosen, family)), outer, "purifier")
    return _set(config, chosen, family)


def _set(config: Any, chosen: Mapping[str, Any], family: str) -> Any:
    if unknown := [name for name in chosen if not hasattr(config, name)]:
        raise InputError(f"expected no {unknown[0].replace('_', ' ')} for family {family}, which has none")
    return override(config, chosen, f"family {family}")


def _unconditional(network: nn.Module) -> nn.Module:
    if isinstance(network, AdmUNet) and network.config.num_classes:
        return replace_classes_by_token(network)
    if isinstance(network, FilmUNet) and network.config.classes:
        return replace_classes_by_token(network)
    return network


def _image_size(purifier: Purifier, spec: ImportSpec, classifier: Classifier) -> int:
    """Return the height and width of the images: the purifier's, where it has one size, else what was asked for."""
    network = getattr(purifier, "network", None)
    fixed = network.config.img_resolution if isinstance(network, SongUNet) else None
    fixed = network.config.image_size if isinstance(network, AdmUNet) else fixed
    if fixed and spec.image_size not in (None, fixed):
        raise InputError(f"expected --image-size {fixed}, which the purifier was made for, got {spec.image_size}")
    size = fixed or spec.image_size or (32 if classifier.preprocessing.size is None else None)
    if size is None:
        raise InputError("expected --image-size, since neither purifier nor classifier fixes the size of the images")
    return int(size)


def _preprocess(classifier: Classifier, spec: ImportSpec, size: int) -> Any:
    """Return the classifier's preprocessing for images of ``size``."""
    wanted = classifier.preprocessing
    if wanted.size in (None, size):
        return replace(wanted, size=None)
    return replace(wanted, interpolation=spec.resize, antialias=spec.resize == "bicubic")


def _name_source(source: Source) -> str:
    if source.path is None:
        return source.kind
    if source.path.is_dir():
        return f"{source.kind}: {source.path.name}/"
    with source.path.open("rb") as file:
        return f"{source.kind}: {source.path.name}, sha256 {hashlib.file_digest(file, 'sha256').hexdigest()}"
