"""The numbers of a value, where they are few, whole and can be sizes: arithmetic of shapes, done ahead."""

from collections.abc import Callable, Mapping, Sequence
from math import isfinite, prod

from purecert.engine.plans.shapes.extents import (
    Extent,
    Shape,
    ShapeError,
    fixed,
    is_small,
    number,
    quotient,
    times,
)
from purecert.engine.plans.shapes.reading import Call
from purecert.engine.plans.shapes.sources import constant_of, shape_asked_for
from purecert.engine.plans.strict_model import Tensor

Numbers = tuple[Extent, ...]

_FEW = 64
_INT32, _INT64 = 6, 7  # TensorProto.DataType
ZERO = Extent(0, 0)


def numbers_of(call: Call, shape: Shape) -> Numbers | None:
    """Return the numbers of a node's first output of ``shape``, or None where they are not known."""
    rule = _RULES.get(call.node.kind)
    if rule is None or len(shape) > 1 or any(not size.is_fixed or size.constant > _FEW for size in shape):
        return None
    try:
        found = rule(call)
    except ShapeError:
        return None  # no size can be taken from it, and what asks for one says so
    if found is None or len(found) != prod(int(size.constant) for size in shape):
        return None
    return found if all(is_small(one) for one in found) or call.node.kind == "Constant" else None


def numbers_of_tensor(tensor: Tensor) -> Numbers | None:
    """Return the numbers of a constant, or None where there are many."""
    return None if tensor.numbers is None else _finite(tensor.numbers)


def _finite(found: Sequence[float]) -> Numbers | None:
    return fixed(*found) if all(isfinite(one) for one in found) else None


def _sizes(call: Call) -> Numbers:
    return shape_asked_for(call)


def _size(call: Call) -> Numbers:
    return (times(call.shape()),)


def _constant(call: Call) -> Numbers | None:
    found = constant_of(call)
    if isinstance(found, Tensor):
        return numbers_of_tensor(found)
    if isinstance(found, tuple):
        return _finite(found)
    return _finite((found,)) if isinstance(found, int | float) else None


def _filled(call: Call) -> Numbers | None:
    tensor = call.tensor("value")
    fill = fixed(0) if tensor is None else numbers_of_tensor(tensor)
    return None if fill is None else fill * prod(number(size) for size in call.numbers(0))


def _same(call: Call) -> Numbers:
    return call.numbers(0)


def _cast(call: Call) -> Numbers | None:
    found = call.numbers(0)
    whole = all(one.rows == int(one.rows) and one.constant == int(one.constant) for one in found)
    return found if whole and call.integer("to", 0) in (_INT32, _INT64) else None


def _joined(call: Call) -> Numbers:
    return tuple(one for index in range(len(call.inputs)) for one in call.numbers(index))


def _picked(call: Call) -> Numbers:
    held = call.numbers(0)
    places = [number(place) for place in call.numbers(1)]
    if len(call.shape()) != 1 or not all(-len(held) <= place < len(held) for place in places):
        raise ShapeError("picks what is not there")
    return tuple(held[place] for place in places)


def _stretch(call: Call) -> Numbers:
    held = call.numbers(0)
    step = number(call.numbers(4)[0]) if call.given(4) is not None else 1
    return held[slice(number(call.numbers(1)[0]), number(call.numbers(2)[0]), step)]


def _each(combine: Callable[[Sequence[Extent]], Extent]) -> Callable[[Call], Numbers]:
    def rule(call: Call) -> Numbers:
        held = [call.numbers(index) for index in range(len(call.inputs))]
        count = max(len(numbers) for numbers in held)
        if any(len(numbers) not in (1, count) for numbers in held):
            raise ShapeError("combines numbers that do not fit")
        rows = zip(*(numbers * count if len(numbers) == 1 else numbers for numbers in held), strict=True)
        return tuple(_whole(combine(row)) for row in rows)

    return rule


def _whole(found: Extent) -> Extent:
    # Floats round, and large integers wrap round: neither is followed.
    if found.rows != int(found.rows) or found.constant != int(found.constant) or not is_small(found):
        raise ShapeError("computes with other numbers than small whole ones")
    return found


def _divided(row: Sequence[Extent]) -> Extent:
    whole, part = row
    if whole.is_fixed and part.is_fixed and whole.constant >= 0 and part.constant > 0:
        return Extent(0, whole.constant // part.constant)
    return quotient(whole, Extent(0, number(part)))


def _equal(row: Sequence[Extent]) -> Extent:
    difference = row[0] - row[1]
    if difference.is_fixed:
        return Extent(0, int(difference.constant == 0))
    # A size of the batch is at least 1, so it is none of the marks -1 and 0.
    if min(difference.rows, difference.rows + difference.constant) > 0:
        return ZERO
    raise ShapeError("compares with the batch")


def _chosen(row: Sequence[Extent]) -> Extent:
    return row[1] if number(row[0]) else row[2]


_RULES: Mapping[str, Callable[[Call], Numbers | None]] = {
    "Shape": _sizes,
    "Size": _size,
    "Constant": _constant,
    "ConstantOfShape": _filled,
    **dict.fromkeys(("Identity", "Reshape", "Squeeze", "Unsqueeze", "Flatten"), _same),
    "Cast": _cast,
    "Concat": _joined,
    "Gather": _picked,
    "Slice": _stretch,
    "Add": _each(lambda row: row[0] + row[1]),
    "Sub": _each(lambda row: row[0] - row[1]),
    "Mul": _each(times),
    "Div": _each(_divided),
    "Equal": _each(_equal),
    "Where": _each(_chosen),
}
