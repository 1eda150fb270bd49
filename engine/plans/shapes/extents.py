"""Sizes as a multiple of the batch and a constant, and what is known of one value of a graph."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from purecert.engine.plans.allowed_operators import ROWS

_LARGEST = 2**31  # sizes beyond it are none; below it no arithmetic of shapes wraps round


class ShapeError(ValueError):
    """A node's sizes do not fit each other, or do not follow from the batch."""


@dataclass(frozen=True, slots=True)
class Extent:
    """``rows`` times the batch, plus ``constant``."""

    rows: float
    constant: float

    @property
    def is_fixed(self) -> bool:
        """Whether it does not depend on the batch."""
        return self.rows == 0

    @property
    def at_rows(self) -> int:
        """Return it at a batch of ``ROWS``."""
        return int(self.rows * ROWS + self.constant)

    def __add__(self, other: "Extent") -> "Extent":
        """Return the sum."""
        return Extent(self.rows + other.rows, self.constant + other.constant)

    def __sub__(self, other: "Extent") -> "Extent":
        """Return the difference."""
        return Extent(self.rows - other.rows, self.constant - other.constant)


ONE = Extent(0, 1)
BATCH = Extent(1, 0)
Shape = tuple[Extent, ...]


def fixed(*numbers: float) -> tuple[Extent, ...]:
    """Return numbers that do not depend on the batch."""
    return tuple(Extent(0, number) for number in numbers)


def number(extent: Extent) -> int:
    """Return a whole number that does not depend on the batch.

    Raises:
        ShapeError: It is none.
    """
    if not extent.is_fixed or extent.constant != int(extent.constant):
        raise ShapeError("takes a size that depends on the batch, where a plain number is expected")
    return int(extent.constant)


def is_size(extent: Extent) -> bool:
    """Whether a shape can have it, and it grows with the batch as it does up to ``ROWS``."""
    # A few rows may be cut off: then it is right from a batch of so many on. More of them, or fewer rows for a larger
    # batch, would make it small at ``ROWS`` alone, where it is weighed.
    cut = extent.constant if extent.is_fixed else extent.constant + extent.rows * (ROWS // 16)
    if not (extent.rows >= 0 and cut >= 0 and extent.at_rows <= _LARGEST):
        return False
    return extent.rows == int(extent.rows) and extent.constant == int(extent.constant)


def is_small(extent: Extent) -> bool:
    """Whether no arithmetic of 32 bits wraps it round."""
    return max(abs(extent.rows), abs(extent.constant)) < _LARGEST


def elements(shape: Sequence[Extent]) -> int:
    """Return how many elements a value has at a batch of ``ROWS``."""
    return prod(extent.at_rows for extent in shape)


def times(extents: Sequence[Extent]) -> Extent:
    """Return a product.

    Raises:
        ShapeError: More than one factor depends on the batch.
    """
    of_batch = [extent for extent in extents if not extent.is_fixed]
    if len(of_batch) > 1:
        raise ShapeError("multiplies two sizes that depend on the batch")
    factor = prod(extent.constant for extent in extents if extent.is_fixed)
    rest = of_batch[0] if of_batch else ONE
    return Extent(rest.rows * factor, rest.constant * factor)


def quotient(whole: Extent, part: Extent) -> Extent:
    """Return ``whole`` by ``part``, without a rest.

    Raises:
        ShapeError: There is a rest.
    """
    if not part.is_fixed:
        # The same size of the batch on both sides, as of a reshape that keeps the rows.
        factor = Extent(0, whole.rows // part.rows)
        if times([part, factor]) != whole:
            raise ShapeError("does not divide its elements evenly")
        return factor
    divisor = part.constant
    if divisor == 0 or whole.rows % divisor or whole.constant % divisor:
        raise ShapeError("does not divide its elements evenly")
    return Extent(whole.rows // divisor, whole.constant // divisor)


@dataclass(frozen=True, kw_only=True, slots=True)
class Value:
    """What is known of one value: its extents, and its numbers where they can be sizes."""

    shape: Shape
    numbers: tuple[Extent, ...] | None = None  # in row-major order
    varies: bool = False  # whether it depends on what is in the graph's inputs, not on weights and the batch alone


def broadcast(*shapes: Shape) -> Shape:
    """Return the shape of an element-wise operation.

    Raises:
        ShapeError: The shapes do not fit.
    """
    rank = max(len(shape) for shape in shapes)
    padded = [(ONE,) * (rank - len(shape)) + shape for shape in shapes]
    return tuple(_common(sizes) for sizes in zip(*padded, strict=True))


def _common(sizes: Sequence[Extent]) -> Extent:
    found = ONE
    for size in sizes:
        if found == ONE or (found.is_fixed and not size.is_fixed and found.constant <= ROWS):
            found = size
        elif size not in (ONE, found) and not (size.is_fixed and not found.is_fixed and size.constant <= ROWS):
            # A number beside the batch fits at one batch, which the runtime sees to.
            raise ShapeError("combines values whose shapes do not fit")
    return found
