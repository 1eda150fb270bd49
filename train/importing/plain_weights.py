"""Flat tables of weights, whatever wrote them: torch.save or safetensors, with what trainers put around them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from purecert.engine.errors import InputError
from purecert.train.importing.choices import Note, silent
from purecert.train.readers.opened import on_one_line
from purecert.train.readers.safetensors_files import read_safetensors
from purecert.train.readers.torch_files import read_torch

# Keys under which trainers save a network beside their own state: as it is, and averaged over the training.
_PLAIN = ("state_dict", "model_state_dict", "model", "net", "network", "params", "net_state_dict")
_AVERAGED = (
    "state_dict_ema",
    "ema_state_dict",
    "model_ema",
    "ema_model",
    "model_ema_state_dict",
    "ema_model_state_dict",
    "ema",
    "net_ema",
    "params_ema",
)
# What wrappers put before every name: DataParallel and AveragedModel, torch.compile, Lightning and others. The last
# three may be a network's own names as well.
_WRAPPERS = ("module.", "_orig_mod.", "model.", "net.", "network.")
_COUNT = "n_averaged"  # of AveragedModel (SWA), beside the weights
_MAX_DEPTH = 8  # of tables in tables
_TOLD = 8  # keys of a message


def read_weights(path: Path, note: Note = silent, *, own: str = "") -> dict[str, Tensor]:
    """Return the weights of a file by name, without what trainers put around them.

    The table may lie under keys such as ``state_dict`` beside other plain entries, and prefixes of wrappers such as
    ``module.`` before all names are taken off, in any order. Where a file holds averaged weights beside plain ones,
    the averaged ones are taken, and said so.

    Args:
        path: The file; safetensors by its suffix.
        note: Takes a line where the file leaves open which weights are meant.
        own: What the names of such a network begin with, where that could be a wrapper's prefix; it stays.

    Raises:
        InputError: The file is unreadable, hostile, or holds no such table.
    """
    content = read_safetensors(path) if path.suffix == ".safetensors" else read_torch(path)
    table = _find_table(content, path, note)
    if strange := [name for name, value in table.items() if not (isinstance(name, str) and isinstance(value, Tensor))]:
        raise InputError(
            f"{path}: expected tensors by their names only, found another entry, {on_one_line(strange[0])}"
        )
    return without_wrappers(table, path, note, own=own)


def keys_of_weights(content: Any) -> tuple[str, ...] | None:
    """Return under which keys, one in the other, a trainer's file holds its weights; None where that is not clear."""
    keys: list[str] = []
    while len(keys) < _MAX_DEPTH and isinstance(content, Mapping) and content:
        if all(isinstance(value, Tensor) for value in content.values()):
            return tuple(keys)
        try:
            key = _choose_key(content, Path(), silent)
        except InputError:
            return None
        if key is None:
            return None
        keys.append(key)
        content = content[key]
    return None


def _find_table(content: Any, path: Path, note: Note) -> Mapping[Any, Any]:
    """Return the table of weights, out of those that hold it."""
    for _ in range(_MAX_DEPTH):
        if not isinstance(content, Mapping) or not content:
            raise InputError(f"{path}: expected a table of weights, found {type(content).__name__}")
        key = _choose_key(content, path, note)
        if key is None:
            return content
        content = content[key]
    raise InputError(f"{path}: expected a table of weights, found tables in tables, more than {_MAX_DEPTH} deep")


def _choose_key(content: Mapping[Any, Any], path: Path, note: Note) -> str | None:
    """Return the key of the table to look into, or None where ``content`` itself is one."""
    plain = [key for key in _PLAIN if _holds_weights(content.get(key))]
    averaged = [key for key in _AVERAGED if _holds_weights(content.get(key))]
    if len(plain) > 1 or len(averaged) > 1:
        found = ", ".join(plain if len(plain) > 1 else averaged)
        raise InputError(
            f"{path}: holds several tables of weights, {found}; save the one that is meant in a file alone"
        )
    if averaged and plain:
        note(f"weights of {path.name}: the averaged ones under {averaged[0]}, not the plain ones under {plain[0]}")
    elif averaged:
        note(f"weights of {path.name}: the averaged ones under {averaged[0]}; the file holds no others")
    if averaged or plain:
        return (averaged or plain)[0]
    if not any(isinstance(value, Tensor) for value in content.values()):
        known = ", ".join((*_PLAIN, *_AVERAGED))
        raise InputError(f"{path}: expected a table of weights, or one under {known}; found the keys {_keys(content)}")
    return None


def _holds_weights(content: object) -> bool:
    """Whether this is a table of weights, or holds one under a known key."""
    if not isinstance(content, Mapping):
        return False
    return any(
        isinstance(value, Tensor) or (isinstance(value, Mapping) and key in (*_PLAIN, *_AVERAGED))
        for key, value in content.items()
    )


def without_wrappers(
    weights: Mapping[str, Tensor], path: Path, note: Note = silent, *, own: str = ""
) -> dict[str, Tensor]:
    """Return the weights without the prefixes of wrappers; the arguments are those of ``read_weights``."""
    inner = dict(weights)
    best = inner  # innermost names that begin with the network's own; all names do with an empty one
    while (inner := _without_one(outer := inner, path, note)).keys() != outer.keys():
        if all(name.startswith(own) for name in inner):
            best = inner
    return best


def _without_one(weights: dict[str, Tensor], path: Path, note: Note) -> dict[str, Tensor]:
    """Return the weights without the outermost wrapper; without any, as they are."""
    found = _without_count(weights, path, note)
    for prefix in _WRAPPERS:
        if (stripped := without_prefix(found, prefix)).keys() != found.keys():
            return stripped
    return found


def _without_count(weights: Mapping[str, Tensor], path: Path, note: Note) -> dict[str, Tensor]:
    """Return the weights of an averaged model without the number that counts its averages."""
    prefix = next((name.removesuffix(_COUNT) for name in weights if name.split(".")[-1] == _COUNT), None)
    others = {name: value for name, value in weights.items() if name != f"{prefix}{_COUNT}"}
    if prefix is None or not others or not all(name.startswith(f"{prefix}module.") for name in others):
        return dict(weights)
    count = weights[f"{prefix}{_COUNT}"]
    times = count.item() if count.numel() == 1 else "an unknown number of"
    note(f"weights of {path.name}: averaged over {times} states (n_averaged)")
    return others


def without_prefix(weights: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Return the weights with ``prefix`` taken off, if all names have it and go on after it."""
    if all(name.startswith(prefix) and name != prefix for name in weights):
        return {name.removeprefix(prefix): value for name, value in weights.items()}
    return dict(weights)


def told_names(weights: Mapping[str, Tensor]) -> str:
    """Return the first names of a table, for a message about one that is not there."""
    return _keys(weights)


def _keys(content: Mapping[Any, Any]) -> str:
    first = [on_one_line(key, 40) for key in list(content)[:_TOLD]]
    more = f" and {len(content) - _TOLD} more" if len(content) > _TOLD else ""
    return ", ".join(first) + more


def layer_weight(weights: Mapping[str, Tensor], name: str, path: Path) -> Tensor:
    """Return the weight ``name`` of a layer, of at least two axes; the first counts what the layer gives.

    Raises:
        InputError: There is none.
    """
    if name not in weights or weights[name].dim() < 2:
        raise InputError(
            f"{path}: weight {name!r} is missing; is the file of another kind? Its names are {told_names(weights)}"
        )
    return weights[name]
