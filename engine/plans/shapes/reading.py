"""What a shape's rule asks of a node: its attributes, its inputs, and the axes that it names."""

from collections.abc import Sequence
from dataclasses import dataclass

from purecert.engine.plans.allowed_operators import MAX_WINDOW
from purecert.engine.plans.shapes.extents import Extent, Shape, ShapeError, Value, number
from purecert.engine.plans.strict_model import StrictNode, Tensor


@dataclass(frozen=True, kw_only=True, slots=True)
class Call:
    """A node and what is known of its inputs; None where an optional one is left out."""

    node: StrictNode
    inputs: Sequence[Value | None]

    def given(self, index: int) -> Value | None:
        """Return input ``index``, or None where it is left out."""
        return self.inputs[index] if index < len(self.inputs) else None

    def value(self, index: int = 0) -> Value:
        """Return input ``index``.

        Raises:
            ShapeError: It is left out.
        """
        found = self.given(index)
        if found is None:
            raise ShapeError(f"lacks its input {index + 1}")
        return found

    def shape(self, index: int = 0) -> Shape:
        """Return the shape of input ``index``; raises as ``value``."""
        return self.value(index).shape

    def numbers(self, index: int) -> tuple[Extent, ...]:
        """Return the numbers of input ``index``.

        Raises:
            ShapeError: They are not known before the graph runs.
        """
        found = self.value(index).numbers
        if found is None:
            raise ShapeError(f"takes sizes from {self.node.inputs[index]!r}, which are not known before the graph runs")
        return found

    def integer(self, name: str, default: int) -> int:
        """Return an integer attribute."""
        found = self.node.attributes.get(name, default)
        if not isinstance(found, int):
            raise ShapeError(f"has no integer as its {name}")
        return found

    def text(self, name: str, default: str) -> str:
        """Return a text attribute."""
        found = self.node.attributes.get(name, default)
        if not isinstance(found, str):
            raise ShapeError(f"has no text as its {name}")
        return found

    def integers(self, name: str) -> tuple[int, ...] | None:
        """Return a list of integers, or None where the node has none."""
        found = self.node.attributes.get(name)
        if found is None:
            return None
        if not isinstance(found, tuple) or not all(isinstance(one, int) for one in found):
            raise ShapeError(f"has no integers as its {name}")
        return tuple(int(one) for one in found)

    def tensor(self, name: str) -> Tensor | None:
        """Return a tensor attribute, or None where the node has none."""
        found = self.node.attributes.get(name)
        if found is not None and not isinstance(found, Tensor):
            raise ShapeError(f"has no tensor as its {name}")
        return found

    def window(self, name: str, count: int, default: int, least: int) -> tuple[int, ...]:
        """Return ``count`` integers of a kernel, a stride, a dilation or padding."""
        found = self.integers(name)
        if found is None:
            found = (default,) * count
        if len(found) != count or not all(least <= one <= MAX_WINDOW for one in found):
            raise ShapeError(f"has {name} {list(found[:12])}, where {count} of {least} to {MAX_WINDOW} are expected")
        return found

    def axes(self, index: int, rank: int) -> tuple[int, ...] | None:
        """Return the axes given as an attribute or as input ``index``, or None where none are given."""
        given = self.integers("axes")
        if given is None and self.given(index) is not None:
            given = tuple(number(axis) for axis in self.numbers(index))
        return None if given is None else tuple(axis_of(axis, rank) for axis in given)


def axis_of(axis: int, rank: int) -> int:
    """Return an axis as a place from the front.

    Raises:
        ShapeError: The value has no such axis.
    """
    if not -rank <= axis < rank:
        raise ShapeError(f"names axis {axis} of a value with {rank}")
    return axis % rank
