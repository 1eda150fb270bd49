"""Configurations as plain values, and where two of them differ."""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from types import MappingProxyType
from typing import Any

# Of fields that may differ when a training goes on.
FREE: Mapping[Any, Any] = MappingProxyType({"decides": "no weight"})


def plain(value: Any) -> Any:
    """Return a configuration as dicts and tuples of plain values, ready to be saved and compared.

    A dataclass names its kind, since kinds may share fields. Fields that decide no weight are left out.
    """
    if is_dataclass(value) and not isinstance(value, type):
        deciding = [field.name for field in fields(value) if field.metadata != FREE]
        own = {name: plain(getattr(value, name)) for name in deciding}
        return {"kind": type(value).__name__, **own}
    if isinstance(value, Mapping):
        return {str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return tuple(plain(entry) for entry in value)
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(f"a configuration holds plain values and dataclasses, found {type(value).__name__}")


def first_difference(asked: Any, found: Any, path: str = "") -> str | None:
    """Return the first field where two plain configurations differ, with both values; None where they are the same."""
    if isinstance(asked, dict) and isinstance(found, dict):
        for key in [*asked, *(key for key in found if key not in asked)]:
            name = f"{path}.{key}" if path else str(key)
            if key not in asked or key not in found:
                return f"{name} is {'new' if key in asked else 'gone'}"
            if said := first_difference(asked[key], found[key], name):
                return said
        return None
    if type(asked) is type(found) and asked == found:
        return None
    return f"{path} was {_short(found)} and is now {_short(asked)}"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
