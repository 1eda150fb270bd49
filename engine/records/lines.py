"""One image's line in the ledger: what was asked, what was counted, what follows; bound to its run, and checksummed."""

import json
import math
import re
import reprlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from purecert.engine.errors import InputError
from purecert.engine.files.canonical import canonical_json, sha256_hex
from purecert.engine.procedures.outcomes import Abstention, Certificate, Outcome, Prediction, Stops
from purecert.engine.procedures.spec import MAX_DRAWS

INVALID = "invalid"  # key of the rows whose logits were not all finite

# Hexadecimal digits of the checksum kept in each line: 64 bits catch every accident.
_CHECKSUM_DIGITS = 16
_CLASS = re.compile(r"0|[1-9][0-9]{0,9}")  # a number as it is printed, and no longer than any class's


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """One image's line: what was asked, what was counted, what follows."""

    index: int  # in the dataset, whatever the slice
    label: int | None  # the dataset's label, None where it has none
    outcome: Outcome
    counts: tuple[dict[str, int], ...]  # per phase: class (as text) or "invalid" -> draws; zeros left out
    looks: int = 1  # how often the draws that bound the class's probability were looked at

    @property
    def correct(self) -> bool:
        """Return whether the run committed itself to the dataset's label."""
        return not isinstance(self.outcome, Abstention) and self.outcome.predicted == self.label


def encode_line(line: Line, run_digest: str) -> str:
    """Return ``line`` as the ledger holds it, without its newline: bound to its run and checksummed."""
    body: dict[str, object] = {"index": line.index, "label": line.label, **_outcome_fields(line.outcome)}
    body |= {"counts": list(line.counts), "looks": line.looks, "run": run_digest}
    return canonical_json(body | {"check": _checksum(body)})


def decode_line(text: str, run_digest: str) -> Line:
    """Return the line that the ledger holds as ``text``.

    Raises:
        InputError: The text is not, byte for byte, one that ``encode_line`` wrote for this run.
    """
    try:
        line = _line(json.loads(text))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(f"expected a certificate line, found {text[:80]!r}") from error
    # Comparing the text, not the numbers, also finds a digit that changed case or a float that changed spelling.
    if encode_line(line, run_digest) != text:
        raise InputError(
            f"line of image {line.index}: its checksum, its run or its form does not match; it was changed"
        )
    return line


def sparse_counts(counts: NDArray[np.int64]) -> dict[str, int]:
    """Return ``counts`` [classes + 1] (the last: invalid rows) in the ledger's form."""
    classes = len(counts) - 1
    return {str(i) if i < classes else INVALID: int(counts[i]) for i in np.flatnonzero(counts)}


def dense_counts(counts: Mapping[str, int], classes: int) -> NDArray[np.int64]:
    """Return the ledger's ``counts`` as an array [classes + 1]; the inverse of ``sparse_counts``.

    Raises:
        InputError: A key is not a class, or a count is not a number of draws.
    """
    dense = np.zeros(classes + 1, np.int64)
    for key, count in counts.items():
        dense[column_of(key, count, classes)] = count
    return dense


def column_of(key: str, count: int, classes: int) -> int:
    """Return where ``dense_counts`` holds the ``count`` of ``key``: the class, or ``classes`` for invalid rows.

    Raises:
        InputError: The key is not a class, or the count is not a number of draws.
    """
    column = classes if key == INVALID else int(key) if _CLASS.fullmatch(key) else classes + 1
    if column > classes or (column == classes and key != INVALID) or not 1 <= count <= MAX_DRAWS:
        found = f"{reprlib.repr(key)}: {reprlib.repr(count)}"
        raise InputError(
            f"expected counts in [1, {MAX_DRAWS}] of classes below {classes} or {INVALID!r}, found {found}"
        )
    return column


def draws_of(line: Line) -> int:
    """Return how many draws an image took, of both phases."""
    return sum(sum(phase.values()) for phase in line.counts)


def _outcome_fields(outcome: Outcome) -> dict[str, object]:
    match outcome:
        case Certificate(predicted=predicted, p_lower=p_lower, radius=radius):
            fields = {"outcome": "certified", "predicted": predicted, "p_lower": p_lower, "radius": radius}
            return fields | _stops_field(outcome.stops)
        case Prediction(predicted=predicted, p_value=p_value):
            return {"outcome": "predicted", "predicted": predicted, "p_value": p_value}
        case Abstention():
            return {"outcome": "abstained"} | _stops_field(outcome.stops)


def _stops_field(stops: Stops) -> dict[str, object]:
    return {"stops": [list(look) for look in stops]} if stops else {}


def _line(body: Any) -> Line:
    """Return the line of a parsed line, every value of its type: the checksum has no key, so anybody can make one."""
    label = None if body["label"] is None else _integer(body["label"])
    counts = tuple({key: _integer(count) for key, count in phase.items()} for phase in body["counts"])
    looks = _integer(body["looks"])
    return Line(index=_integer(body["index"]), label=label, outcome=_outcome(body), counts=counts, looks=looks)


def _outcome(body: Any) -> Outcome:
    match body["outcome"]:
        case "certified":
            p_lower, radius = _number(body["p_lower"]), _number(body["radius"])
            predicted, stops = _integer(body["predicted"]), _stops(body)
            return Certificate(predicted=predicted, p_lower=p_lower, radius=radius, stops=stops)
        case "predicted":
            return Prediction(predicted=_integer(body["predicted"]), p_value=_number(body["p_value"]))
        case "abstained":
            return Abstention(_stops(body))
    raise ValueError(f"unknown outcome {body['outcome']!r:.80}")


def _stops(body: Any) -> Stops:
    return tuple((_integer(draws), _integer(successes)) for draws, successes in body.get("stops", ()))


def _integer(value: object) -> int:
    if type(value) is not int:  # a bool is an int to isinstance
        raise TypeError(f"expected an integer, found {type(value).__name__}")
    return value


def _number(value: object) -> float:
    if not (type(value) is float and math.isfinite(value)):
        raise TypeError(f"expected a finite number, found {type(value).__name__}")
    return value


def _checksum(body: dict[str, object]) -> str:
    return sha256_hex(canonical_json(body).encode())[:_CHECKSUM_DIGITS]
