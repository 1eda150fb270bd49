"""Flat tables of weights, whatever wrote them: torch.save or safetensors."""

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from purecert.engine.errors import InputError
from purecert.train.readers.opened import on_one_line
from purecert.train.readers.safetensors_files import read_safetensors
from purecert.train.readers.torch_files import read_torch

_PARALLEL = "module."  # the prefix that DataParallel leaves


def read_weights(path: Path) -> dict[str, Tensor]:
    """Return the weights of a file by name, without what trainers put around them.

    The table may lie under ``state_dict`` beside other plain entries, and all names may begin with ``module.``.

    Raises:
        InputError: The file is unreadable, hostile, or holds no such table.
    """
    content = read_safetensors(path) if path.suffix == ".safetensors" else read_torch(path)
    if isinstance(content, Mapping) and isinstance(content.get("state_dict"), Mapping):
        content = content["state_dict"]
    if not isinstance(content, Mapping) or not content:
        raise InputError(f"{path}: expected a table of weights, found {type(content).__name__}")
    if strange := [
        name for name, value in content.items() if not (isinstance(name, str) and isinstance(value, Tensor))
    ]:
        raise InputError(
            f"{path}: expected tensors by their names only, found another entry, {on_one_line(strange[0])}"
        )
    return without_prefix(content, _PARALLEL)


def without_prefix(weights: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Return the weights with ``prefix`` taken off, if all names have it."""
    if all(name.startswith(prefix) for name in weights):
        return {name.removeprefix(prefix): value for name, value in weights.items()}
    return dict(weights)
