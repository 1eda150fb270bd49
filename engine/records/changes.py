"""In what a run that is asked for differs from one that was begun: its first field by name, and both values."""

from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from purecert.engine.errors import InputError
from purecert.engine.records.run_record import RunRecord

_LONGEST_SHOWN = 300  # of a value in a message: stopping tables have thousands of numbers


def refuse_changes(stored: RunRecord, asked: RunRecord, directory: Path, verb: str = "resume") -> None:
    """Refuse to go on with the run in ``directory`` as ``asked`` where that is another run than ``stored``.

    Raises:
        InputError: A field differs; the message names the first.
    """
    for name, was, now in _changes(stored, asked):
        raise InputError(
            f"{directory}: the run was begun with {name} = {_short(was)}, asked to {verb} with {_short(now)}; "
            f"{verb} with the same plan, data and options, or start a new run"
        )


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}..."


def _changes(stored: Any, asked: Any, prefix: str = "") -> Iterator[tuple[str, object, object]]:
    """Yield name, old and new value of each field that differs between two records of one class."""
    for field in fields(stored):
        was, now = getattr(stored, field.name), getattr(asked, field.name)
        if is_dataclass(was) and type(was) is type(now):
            yield from _changes(was, now, f"{prefix}{field.name}.")
        elif was != now:
            yield prefix + field.name, was, now
