"""run.json of older versions as today's; what one lacks or has too much is left to the strict reader."""

from typing import Any

from purecert.engine.errors import InputError
from purecert.engine.procedures.spec import SmoothingSpec

_SCHEMA_3, _SCHEMA_4 = "purecert.run/3", "purecert.run/4"
_SINCE_5 = "step"  # of spec
_SPEC_OF_4 = [name for name in SmoothingSpec.__dataclass_fields__ if name != _SINCE_5]


def from_schema_3(value: dict[str, Any]) -> dict[str, Any]:
    """Return run.json of schema 3, which had the fields of spec beside the others and gated in backend, as schema 5."""
    if "spec" in value or "gated" in value:
        raise _mixed(_SCHEMA_3)
    record = {name: entry for name, entry in value.items() if name not in _SPEC_OF_4}
    record["spec"] = {name: value[name] for name in _SPEC_OF_4 if name in value}
    if isinstance(backend := value.get("backend"), dict) and "gated" in backend:
        record["backend"] = {name: entry for name, entry in backend.items() if name != "gated"}
        record["gated"] = backend["gated"]
    return from_schema_4(record)


def from_schema_4(value: dict[str, Any]) -> dict[str, Any]:
    """Return run.json of schema 4 as schema 5: any draw may be looked at, the slice is unknown."""
    added: dict[str, dict[str, int | None]] = {"spec": {_SINCE_5: 1}, "data": {"slice": None}}
    known = {name: value[name] for name in added if isinstance(value.get(name), dict)}
    if any(added[name].keys() & fields.keys() for name, fields in known.items()):
        raise _mixed(_SCHEMA_4)
    whole = {name: fields | added[name] for name, fields in known.items()}
    return value | whole | {"schema": "purecert.run/5"}


def _mixed(schema: str) -> InputError:
    return InputError(f"expected the fields of schema {schema}, found those of a later one among them")
