"""Configurations to plain mappings and back: strictly, because the mappings come from files."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, TypeVar, cast

from purecert.engine.files.strict_json import read_dataclass

Config = TypeVar("Config")


def plain_config(config: object) -> dict[str, Any]:
    """Return a configuration as nested dicts of plain values, ready for ``build_config``."""
    return asdict(cast(Any, config))


def build_config(cls: type[Config], values: object, where: str) -> Config:
    """Return ``cls`` filled from a mapping; fields with defaults may be missing.

    Raises:
        InputError: A key is unknown or missing, or a value has another type or is out of range.
    """
    return read_dataclass(cls, values, where, has_defaults=True)


def override(config: Config, values: Mapping[str, Any], where: str) -> Config:
    """Return ``config`` with some fields replaced, checked as ``build_config`` does."""
    return build_config(type(config), {**plain_config(config), **values}, where)
