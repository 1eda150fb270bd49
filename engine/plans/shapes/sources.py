"""Shapes of what makes values from sizes or attributes, and of what reads sizes."""

from math import ceil, isfinite

from purecert.engine.plans.shapes.extents import ONE, Extent, Shape, ShapeError, is_size
from purecert.engine.plans.shapes.reading import Call
from purecert.engine.plans.strict_model import Attribute, Tensor


def extents(call: Call) -> list[Shape]:
    """Shape: as many numbers as axes are asked for."""
    return [(Extent(0, len(shape_asked_for(call))),)]


def shape_asked_for(call: Call) -> Shape:
    """Return the sizes that a Shape node gives."""
    shape = call.shape()
    return shape[slice(call.integer("start", 0), call.integer("end", len(shape)))]


def one_number(call: Call) -> list[Shape]:
    """Size: a number."""
    return [()]


def constant(call: Call) -> list[Shape]:
    """Constant: as its attribute, which is a tensor, a number, or a list of numbers."""
    found = constant_of(call)
    if isinstance(found, Tensor):
        return [tuple(Extent(0, size) for size in found.shape)]
    return [(Extent(0, len(found)),) if isinstance(found, tuple) else ()]


def constant_of(call: Call) -> Attribute:
    """Return what a Constant node holds.

    Raises:
        ShapeError: It holds nothing, or more than one constant.
    """
    held = tuple(call.node.attributes.values())
    if len(held) != 1:
        raise ShapeError(f"has {len(held)} attributes, where one constant is expected")
    return held[0]


def constant_of_shape(call: Call) -> list[Shape]:
    """ConstantOfShape: the shape is the input's numbers."""
    wanted = call.numbers(0)
    for size in wanted:
        if not is_size(size):
            raise ShapeError(f"gives a size of {size.at_rows:g}")
    return [wanted]


def count(call: Call) -> list[Shape]:
    """Range: from a start to before an end, in steps."""
    values = [call.numbers(index) for index in range(3)]
    if any(len(value) != 1 for value in values):
        raise ShapeError("has a start, an end or a step that is no number")
    start, end, step = (value[0] for value in values)
    if step == ONE and not (end - start).is_fixed:
        found = end - start
    elif all(one.is_fixed and isfinite(one.constant) for one in (start, end, step)) and step.constant:
        found = Extent(0, max(0, ceil((end.constant - start.constant) / step.constant)))
    else:
        raise ShapeError("counts to an end that does not follow from the batch")
    if not is_size(found):
        raise ShapeError(f"gives a size of {found.at_rows:g}")
    return [(found,)]
