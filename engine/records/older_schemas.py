"""run.json of older versions as today's; what one lacks or has too much is left to the strict reader."""

from typing import Any

from purecert.engine.errors import InputError
from purecert.engine.procedures.spec import SmoothingSpec

_SCHEMA_3, _SCHEMA_4, _SCHEMA_5, _SCHEMA_6 = (f"purecert.run/{number}" for number in (3, 4, 5, 6))
_SINCE_5 = "step"  # of spec
_SINCE_6: dict[str, object] = {"price": None, "tables": []}  # of spec.stop
_STOP_SINCE_7: dict[str, object] = {"least_chance": None}  # of spec.stop
_SINCE_7: dict[str, dict[str, object]] = {"spec": {"extension": None}, "data": {"earlier": []}}
_SPEC_OF_4 = [name for name in SmoothingSpec.__dataclass_fields__ if name not in (_SINCE_5, *_SINCE_7["spec"])]


def _from_schema_3(value: dict[str, Any]) -> dict[str, Any]:
    """Return run.json of schema 3, which had the fields of spec beside the others and gated in backend, as today's."""
    if "spec" in value or "gated" in value:
        raise _mixed(_SCHEMA_3)
    record = {name: entry for name, entry in value.items() if name not in _SPEC_OF_4}
    record["spec"] = {name: value[name] for name in _SPEC_OF_4 if name in value}
    if isinstance(backend := value.get("backend"), dict) and "gated" in backend:
        record["backend"] = {name: entry for name, entry in backend.items() if name != "gated"}
        record["gated"] = backend["gated"]
    return _from_schema_4(record)


def _from_schema_4(value: dict[str, Any]) -> dict[str, Any]:
    """Return run.json of schema 4 as today's: any draw may be looked at, the slice is unknown."""
    added: dict[str, dict[str, int | None]] = {"spec": {_SINCE_5: 1}, "data": {"slice": None}}
    known = {name: value[name] for name in added if isinstance(value.get(name), dict)}
    if any(added[name].keys() & fields.keys() for name, fields in known.items()):
        raise _mixed(_SCHEMA_4)
    whole = {name: fields | added[name] for name, fields in known.items()}
    return _from_schema_5(value | whole)


def _from_schema_5(value: dict[str, Any]) -> dict[str, Any]:
    """Return run.json of schema 5 as today's: a rule that stops early has no tables, and no price of one."""
    return _from_schema_6(_with_stop(value, _SINCE_6, _SCHEMA_5))


def _from_schema_6(value: dict[str, Any]) -> dict[str, Any]:
    """Return run.json of schema 6 as today's.

    An early prediction ends at all draws, however unlikely an answer is; a fixed number of draws is looked at once; and
    the images are those that the run began with.
    """
    value = _with_stop(value, _STOP_SINCE_7, _SCHEMA_6)
    known = {name: value[name] for name in _SINCE_7 if isinstance(value.get(name), dict)}
    if any(_SINCE_7[name].keys() & fields.keys() for name, fields in known.items()):
        raise _mixed(_SCHEMA_6)
    return value | {"schema": "purecert.run/7"} | {name: fields | _SINCE_7[name] for name, fields in known.items()}


def _with_stop(value: dict[str, Any], since: dict[str, object], schema: str) -> dict[str, Any]:
    """Return ``value`` with the fields that spec.stop, if there is one, has had ``since`` then."""
    spec = value.get("spec")
    if not isinstance(spec, dict) or not isinstance(stop := spec.get("stop"), dict):
        return value
    if stop.keys() & since.keys():
        raise _mixed(schema)
    return value | {"spec": spec | {"stop": stop | since}}


def _mixed(schema: str) -> InputError:
    return InputError(f"expected the fields of schema {schema}, found those of a later one among them")


# Schema -> what makes today's of it.
OLDER = {_SCHEMA_6: _from_schema_6, _SCHEMA_5: _from_schema_5, _SCHEMA_4: _from_schema_4, _SCHEMA_3: _from_schema_3}
