"""What a file held, copied into plain dicts, lists, tuples, sets and tensors."""

from pathlib import Path
from typing import Any

from torch import Tensor

from purecert.engine.errors import InputError


def plain_content(value: Any, path: Path) -> Any:
    """Return a copy of the containers, and the same tensors without gradients.

    An OrderedDict in a file may carry attributes of any name, ``items`` among them, and a list may hold itself.

    Raises:
        InputError: Containers are nested too deep.
    """
    try:
        return _copy(value, {})
    except RecursionError as error:
        raise InputError(f"{path}: holds containers nested too deep, so it is not loaded") from error


def _copy(value: Any, copies: dict[int, Any]) -> Any:
    """Return the copy of one value; ``copies`` holds what was copied before, by identity."""
    if id(value) in copies:
        return copies[id(value)]
    copied: Any = value
    if isinstance(value, dict):
        copied = copies[id(value)] = {}
        copied.update((key, _copy(inner, copies)) for key, inner in dict.items(value))
    elif isinstance(value, list):
        copied = copies[id(value)] = []
        copied.extend(_copy(inner, copies) for inner in list.__iter__(value))
    elif isinstance(value, tuple):
        copied = tuple(_copy(inner, copies) for inner in tuple.__iter__(value))
    elif isinstance(value, Tensor):
        copied = value.detach()
    copies[id(value)] = copied
    return copied
