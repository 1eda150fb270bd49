"""Frozen dataclasses to plain mappings and back: strictly, because the mappings come from files."""

import types
from collections.abc import Mapping
from dataclasses import MISSING, asdict, fields, is_dataclass
from typing import Any, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from purecert.engine.errors import InputError

Config = TypeVar("Config")


def plain_config(config: object) -> dict[str, Any]:
    """Return a configuration as nested dicts of plain values, ready for ``build_config``."""
    return asdict(cast(Any, config))


def build_config(cls: type[Config], values: object, where: str) -> Config:
    """Return ``cls`` filled from a mapping.

    Args:
        cls: A dataclass of ints, floats, bools, strings, literals, tuples, options and further such dataclasses.
        values: The mapping, with one entry per field; fields with defaults may be missing.
        where: What the mapping is, for messages.

    Raises:
        InputError: A key is unknown or missing, or a value has another type or is out of range.
    """
    if not isinstance(values, Mapping):
        raise InputError(f"{where}: expected a mapping, found {type(values).__name__}")
    known = {f.name: f for f in fields(cast(Any, cls))}
    if unknown := [str(key) for key in values if key not in known]:
        raise InputError(f"{where}: unknown key {unknown[0]!r}; known are {', '.join(known) or 'none'}")
    required = [name for name, f in known.items() if f.default is MISSING and f.default_factory is MISSING]
    if missing := [name for name in required if name not in values]:
        raise InputError(f"{where}: key {missing[0]!r} is missing")
    hints = get_type_hints(cls)
    converted = {key: _convert(value, hints[key], f"{where}.{key}") for key, value in values.items()}
    try:
        return cls(**converted)
    except ValueError as error:
        raise InputError(f"{where}: {error}") from error


def override(config: Config, values: Mapping[str, Any], where: str) -> Config:
    """Return ``config`` with some fields replaced, checked as ``build_config`` does."""
    return build_config(type(config), {**plain_config(config), **values}, where)


def _convert(value: object, hint: Any, where: str) -> Any:
    origin = get_origin(hint)
    if is_dataclass(hint):
        return build_config(cast(type, hint), value, where)
    if origin is tuple:
        return _convert_tuple(value, get_args(hint), where)
    if origin in (types.UnionType, Union):
        options = [option for option in get_args(hint) if option is not type(None)]
        return None if value is None else _convert(value, options[0], where)
    if origin is Literal:
        if value not in get_args(hint):
            raise InputError(f"{where}: expected one of {', '.join(map(str, get_args(hint)))}, found {value!r}")
        return value
    if hint is float and type(value) is int:
        return float(value)
    if type(value) is not hint:  # exact, since True is an int to isinstance
        raise InputError(f"{where}: expected {hint.__name__}, found {type(value).__name__}")
    return value


def _convert_tuple(value: object, items: tuple[Any, ...], where: str) -> tuple[Any, ...]:
    if not isinstance(value, list | tuple):
        raise InputError(f"{where}: expected a list, found {type(value).__name__}")
    hints = [items[0]] * len(value) if items[-1] is Ellipsis else list(items)
    if len(hints) != len(value):
        raise InputError(f"{where}: expected {len(hints)} values, found {len(value)}")
    return tuple(_convert(item, hint, f"{where}[{i}]") for i, (item, hint) in enumerate(zip(value, hints, strict=True)))
