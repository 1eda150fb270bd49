"""What one image's run ends in, and its line in the ledger."""

import json
from dataclasses import dataclass
from decimal import ROUND_FLOOR, Decimal

from purecert.engine.canonical import canonical_json, sha256_hex
from purecert.engine.errors import InputError

INVALID = "invalid"  # key of the rows whose logits were not all finite

# Hexadecimal digits of the checksum kept in each line: 64 bits catch every accident.
_CHECKSUM_DIGITS = 16


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
    return str(Decimal(radius).quantize(Decimal(1).scaleb(-decimals), rounding=ROUND_FLOOR))


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
        body = json.loads(line)
        row = _row(body)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(f"expected a certificate line, found {line[:80]!r}") from error
    # Comparing the text, not the numbers, also finds a digit that changed case or a float that changed spelling.
    if encode_row(row, run_digest) != line:
        raise InputError(f"line of image {row.index}: its checksum, its run or its form does not match; it was changed")
    return row


def _outcome_fields(outcome: Outcome) -> dict[str, object]:
    match outcome:
        case Certificate(predicted=predicted, p_lower=p_lower, radius=radius):
            return {"outcome": "certified", "predicted": predicted, "p_lower": p_lower, "radius": radius}
        case Prediction(predicted=predicted, p_value=p_value):
            return {"outcome": "predicted", "predicted": predicted, "p_value": p_value}
        case Abstention():
            return {"outcome": "abstained"}


def _row(body: dict[str, object]) -> Row:
    counts = tuple({str(key): int(value) for key, value in phase.items()} for phase in body["counts"])  # type: ignore[attr-defined]  # a wrong shape raises, and decode_row reports it
    return Row(index=body["index"], label=body["label"], outcome=_outcome(body), counts=counts)  # type: ignore[arg-type]  # decode_row compares the re-encoded text


def _outcome(body: dict[str, object]) -> Outcome:
    match body["outcome"]:
        case "certified":
            return Certificate(predicted=body["predicted"], p_lower=body["p_lower"], radius=body["radius"])  # type: ignore[arg-type]  # compared as text by decode_row
        case "predicted":
            return Prediction(predicted=body["predicted"], p_value=body["p_value"])  # type: ignore[arg-type]  # compared as text by decode_row
        case "abstained":
            return Abstention()
    raise ValueError(f"unknown outcome {body['outcome']!r}")


def _checksum(body: dict[str, object]) -> str:
    return sha256_hex(canonical_json(body).encode())[:_CHECKSUM_DIGITS]
