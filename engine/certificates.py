"""What one image's run ends in, and its line in the ledger."""

import json
from dataclasses import dataclass, fields
from decimal import ROUND_FLOOR, Context, Decimal
from typing import Any

from purecert.engine.canonical import canonical_json, sha256_hex
from purecert.engine.errors import InputError
from purecert.engine.strict_json import read_dataclass

INVALID = "invalid"  # key of the rows whose logits were not all finite

# Hexadecimal digits of the checksum kept in each line: 64 bits catch every accident.
_CHECKSUM_DIGITS = 16
# Room for the digits of any double, whatever precision the caller's decimal context has.
_ALL_DIGITS = Context(prec=2000)


@dataclass(frozen=True, kw_only=True, slots=True)
class Certificate:
    """The smoothed classifier answers ``predicted`` at every point closer than ``radius`` (L2, [0, 1] pixel units).

    ``p_lower`` bounds the class's probability under noise; all three hold together with probability 1 - alpha.
    """

    predicted: int
    p_lower: float
    radius: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Prediction:
    """The smoothed classifier's answer, right with probability 1 - alpha; it claims no radius."""

    predicted: int
    p_value: float


@dataclass(frozen=True, slots=True)
class Abstention:
    """The draws did not settle the answer at this alpha."""


Outcome = Certificate | Prediction | Abstention
_OUTCOMES: dict[str, type[Outcome]] = {"certified": Certificate, "predicted": Prediction, "abstained": Abstention}


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One image's line: what was asked, what was counted, what follows."""

    index: int  # in the dataset, whatever the slice
    label: int | None  # the dataset's label, None where it has none
    outcome: Outcome
    counts: tuple[dict[str, int], ...]  # per phase: class (as text) or "invalid" -> draws; zeros left out

    @property
    def correct(self) -> bool:
        """Return whether the run committed itself to the dataset's label."""
        return not isinstance(self.outcome, Abstention) and self.outcome.predicted == self.label


def format_radius(radius: float, decimals: int = 4) -> str:
    """Return ``radius`` with ``decimals`` digits after the point, rounded down: print never claims more than proof."""
    last_digit = Decimal((0, (1,), -decimals))
    return f"{Decimal(radius).quantize(last_digit, rounding=ROUND_FLOOR, context=_ALL_DIGITS):f}"


def encode_row(row: Row, run_digest: str) -> str:
    """Return the ledger line of ``row`` without its newline, bound to its run and checksummed."""
    body: dict[str, object] = {"index": row.index, "label": row.label, **_outcome_fields(row.outcome)}
    body |= {"counts": list(row.counts), "run": run_digest}
    return canonical_json(body | {"check": _checksum(body)})


def decode_row(line: str, run_digest: str) -> Row:
    """Return the row of a ledger line.

    Raises:
        InputError: The line is not, byte for byte, one that ``encode_row`` wrote for this run.
    """
    try:
        row = _row(json.loads(line))
    except (ValueError, KeyError, TypeError, RecursionError, InputError) as error:
        raise InputError(f"expected a certificate line, found {line[:80]!r}") from error
    # Comparing the text, not the numbers, also finds a digit that changed case or a float that changed spelling.
    if encode_row(row, run_digest) != line:
        raise InputError(f"line of image {row.index}: its checksum, its run or its form does not match; it was changed")
    return row


def _outcome_fields(outcome: Outcome) -> dict[str, object]:
    name = next(name for name, kind in _OUTCOMES.items() if isinstance(outcome, kind))
    return {"outcome": name} | {field.name: getattr(outcome, field.name) for field in fields(outcome)}


@dataclass(frozen=True, kw_only=True, slots=True)
class _Image:
    """What every line holds, whatever the outcome."""

    index: int
    label: int | None
    counts: tuple[dict[str, int], ...]


def _row(body: Any) -> Row:
    """Return the row of a parsed line, every value of its type: the checksum has no key, so anybody can make one."""
    kind = _OUTCOMES[body["outcome"]]
    outcome = read_dataclass(kind, {field.name: body[field.name] for field in fields(kind)}, "outcome")
    image = read_dataclass(_Image, {field.name: body[field.name] for field in fields(_Image)}, "line")
    return Row(index=image.index, label=image.label, outcome=outcome, counts=image.counts)


def _checksum(body: dict[str, object]) -> str:
    return sha256_hex(canonical_json(body).encode())[:_CHECKSUM_DIGITS]
