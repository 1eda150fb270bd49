"""JSON into frozen dataclasses, strictly: unknown, missing and mistyped fields are errors that name them."""

import json
import reprlib
import sys
import types
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
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
        value = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: expected JSON, found {error}; {damaged}") from error
    found = value.get("schema") if isinstance(value, dict) else None
    if isinstance(found, str) and found in older:
        value, found = older[found](value), schema
    if found != schema:
        raise InputError(f"{path}: expected schema {schema}, found {reprlib.repr(found)}; {other_version}")
    return read_dataclass(kind, value, str(path))


def read_dataclass(kind: type[T], value: object, where: str) -> T:
    """Return ``value`` (parsed JSON) as an instance of the dataclass ``kind``.

    Raises:
        InputError: A field is missing, unknown or of another type; the message names it after ``where``.
    """
    if not isinstance(value, dict):
        raise InputError(f"{where}: expected an object, found {type(value).__name__}")
    hints = get_type_hints(kind)
    names = [field.name for field in fields(kind)]  # type: ignore[arg-type]  # T is a dataclass by contract
    unknown, missing = sorted(set(value) - set(names)), [name for name in names if name not in value]
    if unknown or missing:
        found = f"unknown fields {reprlib.repr(unknown)}, missing fields {missing}"
        raise InputError(f"{where}: {found}; was it made by this version?")
    read = {name: _read(hints[name], value[name], f"{where}: {name}") for name in names}
    try:
        return kind(**read)
    except InputError as error:  # what the dataclass itself refuses
        raise InputError(f"{where}: {error}") from error


def _read(kind: Any, value: Any, where: str) -> Any:
    origin, arguments = get_origin(kind), get_args(kind)
    if is_dataclass(kind) and isinstance(kind, type):
        return read_dataclass(kind, value, where)
    if origin is Literal:
        return _expect(value in arguments, value, where, f"one of {list(arguments)}")
    if origin in (Union, types.UnionType):
        return None if value is None else _read(arguments[0], value, where)
    if origin is tuple:
        entries = _expect(isinstance(value, list), value, where, "a list")
        return tuple(_read(arguments[0], entry, f"{where}[{i}]") for i, entry in enumerate(entries))
    if origin is dict:
        entries = _expect(isinstance(value, dict), value, where, "an object")
        return {key: _read(arguments[1], entry, f"{where}.{key}") for key, entry in entries.items()}
    return _read_scalar(kind, value, where)


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
        # A plain repr of what a stranger wrote may be of any length, and too deep to be made.
        raise InputError(f"{where}: expected {expected}, found {reprlib.repr(value)}")
    return value
