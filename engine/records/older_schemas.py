"""run.json of older versions as today's; what one lacks or has too much is left to the strict reader."""

from typing import Any

from purecert.engine.errors import InputError
from purecert.engine.procedures.spec import SmoothingSpec

_SCHEMA_3, _SCHEMA_4, _SCHEMA_5, _SCHEMA_6 = "purecert.run/3", "purecert.run/4", "purecert.run/5", "purecert.run/6"
_SINCE_5 = "step"  # of spec
_SINCE_6: dict[str, object] = {"price": None, "tables": []}  # of spec.stop
_SINCE_7: dict[str, dict[str, object]] = {"spec": {"extension": None}, "data": {"earlier": []}}
_SPEC_OF_4 = [name for name in SmoothingSpec.__dataclass_fields__ if name not in (_SINCE_5, *_SINCE_7["spec"])]


def from_schema_3(value: dict[str, Any]) -> dict[str, Any]:
    """Return run.json of schema 3, which had the fields of spec beside the others and gated in backend, as today's."""
    if "spec" in value or "gated" in value:
        raise _mixed(_SCHEMA_3)
    record = {name: entry for name, entry in value.items() if name not in _SPEC_OF_4}
    record["spec"] = {name: value[name] for name in _SPEC_OF_4 if name in value}
    if isinstance(backend := value.get("backend"), dict) and "gated" in backend:
        record["backend"] = {name: entry for name, entry in backend.items() if name != "gated"}
        record["gated"] = backend["gated"]
    return from_schema_4(record)


def from_schema_4(value: dict[str, Any]) -> dict[str, Any]:
    """Return run.json of schema 4 as today's: any draw may be looked at, the slice is unknown."""
    added: dict[str, dict[str, int | None]] = {"spec": {_SINCE_5: 1}, "data": {"slice": None}}
    known = {name: value[name] for name in added if isinstance(value.get(name), dict)}
    if any(added[name].keys() & fields.keys() for name, fields in known.items()):
        raise _mixed(_SCHEMA_4)
    whole = {name: fields | added[name] for name, fields in known.items()}
    return from_schema_5(value | whole)


def from_schema_5(value: dict[str, Any]) -> dict[str, Any]:
    """Return run.json of schema 5 as today's: a rule that stops early has no tables, and no price of one."""
    spec = value.get("spec")
    if not isinstance(spec, dict) or not isinstance(stop := spec.get("stop"), dict):
        return from_schema_6(value)
    if stop.keys() & _SINCE_6.keys():
        raise _mixed(_SCHEMA_5)
    return from_schema_6(value | {"spec": spec | {"stop": stop | _SINCE_6}})


def from_schema_6(value: dict[str, Any]) -> dict[str, Any]:
    """Return run.json of schema 6 as today's: its draws are looked at once, and its images are those it began with."""
    known = {name: value[name] for name in _SINCE_7 if isinstance(value.get(name), dict)}
    if any(_SINCE_7[name].keys() & fields.keys() for name, fields in known.items()):
        raise _mixed(_SCHEMA_6)
    return value | {"schema": "purecert.run/7"} | {name: fields | _SINCE_7[name] for name, fields in known.items()}


def _mixed(schema: str) -> InputError:
    return InputError(f"expected the fields of schema {schema}, found those of a later one among them")
