"""What an edit of a run is, and short ways to write the usual ones (support/run_edits.py is the table)."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

Record = dict[str, Any]
Lines = list[dict[str, Any]]
Mutate = Callable[[Record, Lines], object]

CERTIFY: Final = ("fixed", "radii", "tables", "tolerance", "extended")
PREDICT: Final = ("votes", "answer")
FIXED: Final = ("fixed", "votes")
EARLY: Final = ("radii", "tables", "tolerance", "answer")
ALL: Final = (*CERTIFY, *PREDICT)
ANY: Final = ()  # one mode after the other: the mode does not matter

HUGE = 10**400


@dataclass(frozen=True, kw_only=True, slots=True)
class Refused:
    """The reader refuses the run in one line, before it prints anything."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Named:
    """The reader prints these words, which the honest run does not have."""

    words: str


@dataclass(frozen=True, kw_only=True, slots=True)
class OwnWord:
    """Only the run says so; ``told_by`` is what can tell."""

    told_by: str


REFUSED: Final = Refused()
Seen = Refused | Named | OwnWord


@dataclass(frozen=True, kw_only=True, slots=True)
class Edit:
    """A change of a run, the modes (``support.simulated_runs.SPECS``) it is made to, and what becomes of it."""

    name: str
    mutate: Mutate
    seen: Seen
    of: tuple[str, ...] = ANY


def on_first_line(name: str, mutate: Callable[[dict[str, Any]], object], of: tuple[str, ...] = ANY) -> Edit:
    """Return the refused edit of the first line, which commits itself to class 0 with all draws."""
    return Edit(name=name, mutate=lambda record, lines: mutate(lines[0]), seen=REFUSED, of=of)


def set_field(path: str, value: object, seen: Seen = REFUSED, of: tuple[str, ...] = ANY) -> Edit:
    """Return the edit that sets a field of run.json, its parts parted by dots."""

    def mutate(record: Record, lines: Lines) -> None:
        *parts, name = path.split(".")
        for part in parts:
            record = record[part]
        record[name] = value

    shown = "10**400" if value == HUGE else f"{value!r}"
    return Edit(name=f"{path} = {shown:.40}", mutate=mutate, seen=seen, of=of)


def own_word(path: str, value: object, told_by: str, of: tuple[str, ...] = ANY) -> Edit:
    return set_field(path, value, OwnWord(told_by=told_by), of)


def named(path: str, value: object, words: str) -> Edit:
    return set_field(path, value, Named(words=words))
