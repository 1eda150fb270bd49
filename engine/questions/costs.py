"""A cost matrix of a user: which mistake matters for images of which class."""

import csv
import io
import math
from dataclasses import dataclass
from pathlib import Path

from purecert.engine.errors import InputError
from purecert.engine.files.canonical import sha256_hex
from purecert.engine.files.strict_json import parse_json

_LARGEST_FILE = 64_000_000  # bytes: 1,000 classes in text take a tenth


@dataclass(frozen=True, kw_only=True, slots=True)
class Costs:
    """Which answers cost something for an image of each class; how much they cost plays no part."""

    costly: tuple[frozenset[int], ...]  # per true class, the predicted classes of cost above 0
    digest: str  # SHA-256 of the file

    @property
    def classes(self) -> int:
        """Return the number of classes."""
        return len(self.costly)


def read_costs(path: Path) -> Costs:
    """Return the matrix of ``path``: a row per true class, a column per predicted class; .json (lists) or .csv.

    Raises:
        InputError: The file is absent or of another form, or the matrix is not square, has an entry that is no finite
            number of at least 0, or a cost of the right answer.
    """
    if not path.is_file():
        raise InputError(f"{path}: expected a file with a cost matrix, found none; is the path right?")
    if path.stat().st_size > _LARGEST_FILE:
        raise InputError(f"{path}: expected a cost matrix of at most {_LARGEST_FILE:,} bytes, found more")
    content = path.read_bytes()
    readers = {".json": _from_json, ".csv": _from_csv}
    if path.suffix not in readers:
        raise InputError(f"{path}: expected a cost matrix as .json or .csv, found {path.suffix or 'no suffix'}")
    try:
        rows = readers[path.suffix](content)
        return Costs(costly=tuple(_costly(rows, true) for true in range(len(rows))), digest=sha256_hex(content))
    except (ValueError, RecursionError, csv.Error) as error:
        raise InputError(f"{path}: {error}; a row per true class, a column per predicted class") from error


def _from_json(content: bytes) -> list[list[float]]:
    value = parse_json(content)
    if not (isinstance(value, list) and value and all(isinstance(row, list) for row in value)):
        raise ValueError("expected a list of lists of numbers")
    if not all(type(cost) in (int, float) for row in value for cost in row):  # true is no number here
        raise ValueError("expected numbers only")
    return [[_finite(cost) for cost in row] for row in value]


def _from_csv(content: bytes) -> list[list[float]]:
    rows = [row for row in csv.reader(io.StringIO(content.decode("utf-8"), newline=""), strict=True) if row]
    if not rows:
        raise ValueError("expected a row of numbers, found none")
    return [[_finite(cost) for cost in row] for row in rows]


def _finite(cost: float | str) -> float:
    try:
        number = float(cost)
    except OverflowError as error:
        raise ValueError("expected costs that are finite") from error
    if not (0 <= number < math.inf):
        raise ValueError(f"expected finite costs of at least 0, found {number}")
    return number


def _costly(rows: list[list[float]], true: int) -> frozenset[int]:
    if len(rows[true]) != len(rows):
        raise ValueError(f"expected {len(rows)} columns, as there are rows, found {len(rows[true])} in row {true + 1}")
    if rows[true][true] != 0:
        raise ValueError(f"expected no cost of the right answer, found {rows[true][true]} for class {true}")
    return frozenset(predicted for predicted, cost in enumerate(rows[true]) if cost > 0)
