"""Parsed JSON into frozen dataclasses, strictly: unknown, missing and mistyped fields are errors that name them."""

import json
import reprlib
import sys
import types
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from purecert.engine.errors import InputError

T = TypeVar("T")


def read_document(
    kind: type[T],
    path: Path,
    content: bytes,
    schema: str,
    *,
    damaged: str,
    other_version: str,
    older: Mapping[str, Callable[[dict[str, Any]], dict[str, Any]]] = types.MappingProxyType({}),
) -> T:
    """Return the JSON document ``content`` of the file ``path`` as an instance of the dataclass ``kind``.

    Args:
        schema: What its field ``schema`` must say.
        damaged: What to do where it is not JSON, for the message.
        other_version: What to do where its schema is another.
        older: Schemas of older versions, and what turns their documents into today's.

    Raises:
        InputError: It is not JSON, of another schema, or not exactly the fields of ``kind``.
    """
    try:
        value = parse_json(content)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: expected JSON, found {error}; {damaged}") from error
    found = value.get("schema") if isinstance(value, dict) else None
    if isinstance(found, str) and found in older:
        value, found = _converted(older[found], value, path), schema
    if found != schema:
        raise InputError(f"{path}: expected schema {schema}, found {reprlib.repr(found)}; {other_version}")
    return read_dataclass(kind, value, str(path))


def parse_json(content: bytes) -> Any:
    """Return the value of ``content``, which readers of JSON all understand alike.

    Raises:
        ValueError: It is not JSON, not UTF-8, begins with a byte order mark, or holds a key twice in one object.
        RecursionError: It is nested too deeply.
    """
    return json.loads(content.decode(), object_pairs_hook=_without_repetition)


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for key, entry in pairs:
        if key in value:  # some readers would take the first, others the last
            raise ValueError(f"the key {_shown(key)} twice in one object")
        value[key] = entry
    return value


def _converted(
    convert: Callable[[dict[str, Any]], dict[str, Any]], value: dict[str, Any], path: Path
) -> dict[str, Any]:
    try:
        return convert(value)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def read_dataclass(kind: type[T], value: object, where: str, *, has_defaults: bool = False) -> T:
    """Return ``value`` (parsed JSON) as an instance of the dataclass ``kind``.

    Args:
        kind: Its fields are scalars, literals, options, tuples, dicts and further such dataclasses.
        value: One entry a field.
        where: What it is, for messages.
        has_defaults: A field that has a default may be missing.

    Raises:
        InputError: A field is missing, unknown, of another type or out of range; the message names it after ``where``.
    """
    if not isinstance(value, dict):
        raise InputError(f"{where}: expected an object, found {type(value).__name__}")
    _check_names(kind, value, where, has_defaults=has_defaults)
    hints = get_type_hints(kind)
    read = {name: _read(hints[name], entry, f"{where}: {name}", has_defaults) for name, entry in value.items()}
    try:
        return kind(**read)
    except (ValueError, InputError) as error:
        raise InputError(f"{where}: {error}") from error


def _check_names(kind: Any, value: dict[Any, Any], where: str, *, has_defaults: bool) -> None:
    names = [field.name for field in fields(kind)]
    optional = [f.name for f in fields(kind) if f.default is not MISSING or f.default_factory is not MISSING]
    unknown = sorted((key for key in value if key not in names), key=str)
    missing = [name for name in names if name not in value and not (has_defaults and name in optional)]
    if unknown or missing:
        found = f"unknown fields {_shown(unknown)}, missing fields {missing}"
        advice = f"known are {', '.join(names) or 'none'}" if has_defaults else "was it made by this version?"
        raise InputError(f"{where}: {found}; {advice}")


def _read(kind: Any, value: Any, where: str, has_defaults: bool) -> Any:
    origin, arguments = get_origin(kind), get_args(kind)
    if is_dataclass(kind) and isinstance(kind, type):
        return read_dataclass(kind, value, where, has_defaults=has_defaults)
    if origin is Literal:
        return _expect(value in arguments, value, where, f"one of {list(arguments)}")
    if origin in (Union, types.UnionType):
        inner = next(option for option in arguments if option is not type(None))
        return None if value is None else _read(inner, value, where, has_defaults)
    if origin is tuple:
        entries = _expect(isinstance(value, list | tuple), value, where, "a list")
        kinds = _entry_kinds(arguments, entries, where)
        pairs = zip(kinds, entries, strict=True)
        return tuple(_read(inner, entry, f"{where}[{i}]", has_defaults) for i, (inner, entry) in enumerate(pairs))
    if origin is dict:
        entries = _expect(isinstance(value, dict), value, where, "an object")
        for key in entries:
            _expect(key.isprintable(), key, where, "printable keys on one line")
        return {key: _read(arguments[1], entry, f"{where}.{key}", has_defaults) for key, entry in entries.items()}
    return _read_scalar(kind, value, where)


def _entry_kinds(arguments: tuple[Any, ...], entries: Sequence[Any], where: str) -> list[Any]:
    """Return the type of each entry of a tuple, which has one length or, with an ellipsis, any."""
    if arguments[-1] is Ellipsis:
        return [arguments[0]] * len(entries)
    if len(entries) != len(arguments):
        raise InputError(f"{where}: expected {len(arguments)} values, found {len(entries)}")
    return list(arguments)


def _read_scalar(kind: type, value: Any, where: str) -> Any:
    if kind is float:
        # JSON as Python reads it also has NaN, Infinity, and integers that no double holds.
        is_number = type(value) in (int, float) and -sys.float_info.max <= value <= sys.float_info.max
        return float(_expect(is_number, value, where, "a finite number"))
    if isinstance(value, str):  # a line break or an escape code could forge a line of a report
        _expect(value.isprintable(), value, where, "printable text on one line")
    return _expect(type(value) is kind, value, where, f"a value of type {kind.__name__}")


def _expect(condition: bool, value: Any, where: str, expected: str) -> Any:
    if not condition:
        raise InputError(f"{where}: expected {expected}, found {_shown(value)}")
    return value


def _shown(value: Any) -> str:
    # A plain repr of what a stranger wrote may be of any length, and too deep to be made; a tensor's has many lines.
    return " ".join(reprlib.repr(value).split())
