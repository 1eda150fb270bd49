"""model.pt: a purifier and a classifier in one file of plain types and tensors.

Nothing in it is code: it is read with ``weights_only=True``, the names of kinds are looked up in the tables below,
and whatever does not fit exactly is refused.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from purecert.engine.errors import InputError
from purecert.train.models.archives import write_archive
from purecert.train.models.compatibility import check_compatible
from purecert.train.models.kinds import CLASSIFIERS, NETWORKS, PREPROCESSINGS, PURIFIERS, Kind
from purecert.train.purifiers.base import Purifier
from purecert.train.readers.archives import read_archive
from purecert.train.strict.configuration import build_config, plain_config
from purecert.train.strict.state import build_empty, check_finite, load_strictly

SCHEMA = "purecert.model/1"


def demo_model_path() -> Path:
    """Return where the installed demo model lies; demo/README.md says how it was made."""
    return Path(__file__).parents[1] / "demo" / "digits.pt"


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Model:
    """A purifier and a classifier that belong together; modules in eval mode, without gradients."""

    purifier: Purifier
    classifier: nn.Module  # logits of preprocessed images
    preprocessing: nn.Module  # purified [-1, 1] image to classifier input
    input_shape: tuple[int, int, int]  # channels, height, width
    classes: int
    class_names: tuple[str, ...] = ()  # empty where the classes have no names
    data: str | None = None  # dataset on which exports are compared with this model, such as digits:train
    sources: tuple[str, ...] = ()  # where the weights come from
    licence: str = ""
    choices: tuple[str, ...] = ()  # what the files leave open and the import decided, one line each
    sha256: str = ""  # of the file it was read from, empty for none


@dataclass(frozen=True, kw_only=True, slots=True)
class _Facts:
    """The entries of a file beside its three modules."""

    input_shape: tuple[int, int, int]
    classes: int
    class_names: tuple[str, ...] = ()
    data: str | None
    sources: tuple[str, ...]
    licence: str
    choices: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if min(self.input_shape) < 1 or self.classes < 2:
            raise ValueError(f"need a positive input_shape and 2 classes, got {self.input_shape} and {self.classes}")
        if self.class_names and len(self.class_names) != self.classes:
            raise ValueError(f"{len(self.class_names)} class_names for {self.classes} classes")


def save_model(model: Model, path: str | Path, *, force: bool = False) -> None:
    """Write ``model`` as model.pt; the same model gives the same bytes.

    Raises:
        InputError: The file exists and ``force`` is not set, its folder cannot be written, a weight is not finite, or
            a text of the model is not on one line.
    """
    facts = {name: getattr(model, name) for name in _Facts.__dataclass_fields__}
    build_config(_Facts, facts, str(path))  # what could not be read again is not written
    content = {
        "schema": SCHEMA,
        "purifier": _describe(model.purifier, PURIFIERS) | {"state": _plain_state(model.purifier)},
        "classifier": _describe(model.classifier, CLASSIFIERS) | {"state": _plain_state(model.classifier)},
        "preprocessing": _describe(model.preprocessing, PREPROCESSINGS),
        **{
            name: value for name, value in facts.items() if value or name != "choices"
        },  # files without them stay as they were
    }
    write_archive(content, Path(path), force=force)


def _describe(module: Any, table: Mapping[str, Kind]) -> dict[str, Any]:
    name = next((name for name, kind in table.items() if type(module) is kind.module), None)
    if name is None:
        raise InputError(f"{type(module).__name__} has no kind; model files hold {', '.join(table)}")
    config = plain_config(module.config)
    for key, usual in (("crop", None), *((("channels", 3),) if name == "timm" else ())):
        if key in config and config[key] == usual:
            del config[key]  # files without one stay as they were, and older versions read them
    if table[name].has_network:
        config["network"] = _describe(module.network, NETWORKS)
    return {"kind": name, "config": config}


def _plain_state(module: nn.Module) -> dict[str, Tensor]:
    state = {key: value.detach().cpu().clone() for key, value in module.state_dict().items()}
    check_finite(state, type(module).__name__)
    return state


def load_model(path: str | Path) -> Model:
    """Return the model that a file describes.

    Raises:
        InputError: The file is unreadable, damaged, no model, or does not fit together exactly.
    """
    path = Path(path)
    content, digest = read_archive(path)
    if not isinstance(content, dict) or content.get("schema") != SCHEMA:
        found = content.get("schema") if isinstance(content, dict) else None
        raise InputError(f"{path}: expected a model of schema {SCHEMA}, found {found or 'a file without schema'}")
    parts = {name: _require(content, name, str(path)) for name in ("purifier", "classifier", "preprocessing")}
    others = {key: value for key, value in content.items() if key not in parts and key != "schema"}
    facts = build_config(_Facts, others, str(path))
    where = f"{path}: purifier"
    purifier = build_empty(lambda: _build(parts["purifier"], PURIFIERS, where), where)
    classifier = build_empty(lambda: _build(parts["classifier"], CLASSIFIERS, f"{path}: classifier"), str(path))
    preprocessing = _build_preprocessing(parts, path).eval()
    check_compatible(purifier.eval(), classifier.eval(), preprocessing, facts.input_shape, facts.classes, str(path))
    model = Model(
        purifier=_fill(purifier, parts["purifier"], f"{path}: purifier"),
        classifier=_fill(classifier, parts["classifier"], f"{path}: classifier"),
        preprocessing=preprocessing,
        sha256=digest,
        **{name: getattr(facts, name) for name in _Facts.__dataclass_fields__},
    )
    return model


def _require(content: Mapping[Any, Any], key: str, where: str) -> Any:
    if key not in content:
        raise InputError(f"{where}: key {key!r} is missing")
    return content[key]


def _build(part: object, table: Mapping[str, Kind], where: str) -> Any:
    """Return the module that {kind, config} describes, with the weights it is born with."""
    if not isinstance(part, Mapping):
        raise InputError(f"{where}: expected a mapping, found {type(part).__name__}")
    if unknown := [str(key) for key in part if key not in ("kind", "config", "state")]:
        raise InputError(f"{where}: unknown key {unknown[0]!r}; known are kind, config, state")
    name, values = _require(part, "kind", where), _require(part, "config", where)
    if not isinstance(name, str) or name not in table:
        raise InputError(f"{where}: unknown kind {name!r}; this version knows {', '.join(table)}")
    kind = table[name]
    if not kind.has_network:
        return kind.module(build_config(kind.config, values, f"{where}.config"))
    if not isinstance(values, Mapping):
        raise InputError(f"{where}.config: expected a mapping, found {type(values).__name__}")
    network = _build(_require(values, "network", f"{where}.config"), NETWORKS, f"{where}.network")
    own = {key: value for key, value in values.items() if key != "network"}
    return kind.module(build_config(kind.config, own, f"{where}.config"), network)


def _build_preprocessing(parts: Mapping[str, Any], path: Path) -> nn.Module:
    module: nn.Module = _build(parts["preprocessing"], PREPROCESSINGS, f"{path}: preprocessing")
    return module


def _fill(module: Any, part: Mapping[str, Any], where: str) -> Any:
    """Return the module with the state of its part, which must match it key by key."""
    filled = load_strictly(module, _require(part, "state", where), where)
    if not any(value.is_meta for value in filled.buffers()):
        return filled
    # Some of timm's models make buffers that are no part of their state; only a real one has them.
    return load_strictly(type(module)(module.config), _require(part, "state", where), where)
