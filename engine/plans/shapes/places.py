"""Shapes of what moves, repeats or picks elements."""

from collections.abc import Sequence
from math import ceil, floor

from purecert.engine.plans.shapes.extents import (
    ONE,
    Extent,
    Shape,
    ShapeError,
    broadcast,
    fixed,
    is_size,
    number,
    quotient,
    times,
)
from purecert.engine.plans.shapes.reading import Call, axis_of

_TO_THE_END = 2**31 - 1  # an end of a slice from here on means all the rest


def reshape(call: Call) -> list[Shape]:
    """Reshape: 0 keeps a size, -1 takes the rest."""
    shape = call.shape()
    wanted = list(call.numbers(1))
    if not call.integer("allowzero", 0):
        for axis, size in enumerate(wanted):
            if size == Extent(0, 0):
                wanted[axis] = shape[axis_of(axis, len(shape))]
    open_axes = [axis for axis, size in enumerate(wanted) if size == Extent(0, -1)]
    whole = times(shape)
    rest = times([size for size in wanted if size != Extent(0, -1)])
    if len(open_axes) > 1 or (not open_axes and rest != whole):
        raise ShapeError("reshapes to another number of elements")
    for axis in open_axes:
        wanted[axis] = quotient(whole, rest)
    return [_sizes(wanted)]


def flatten(call: Call) -> list[Shape]:
    """Flatten: two axes."""
    shape = call.shape()
    axis = call.integer("axis", 1)
    if axis != len(shape):
        axis = axis_of(axis, len(shape))
    return [(times(shape[:axis]), times(shape[axis:]))]


def squeeze(call: Call) -> list[Shape]:
    """Squeeze: without the named axes, or all of size 1."""
    shape = call.shape()
    axes = call.axes(1, len(shape))
    if axes is None:
        axes = tuple(axis for axis, size in enumerate(shape) if size == ONE)
    if any(shape[axis] != ONE for axis in axes):
        raise ShapeError("squeezes an axis that is not of size 1")
    return [tuple(size for axis, size in enumerate(shape) if axis not in axes)]


def unsqueeze(call: Call) -> list[Shape]:
    """Unsqueeze: more axes of size 1."""
    shape = list(call.shape())
    given = call.integers("axes")
    count = len(call.numbers(1)) if given is None else len(given)
    axes = call.axes(1, len(shape) + count) or ()
    if len(set(axes)) != len(axes):
        raise ShapeError("names an axis twice")
    for axis in sorted(axes):
        shape.insert(axis, ONE)
    return [tuple(shape)]


def transpose(call: Call) -> list[Shape]:
    """Transpose: axes in another order."""
    shape = call.shape()
    order = call.integers("perm")
    if order is None:
        order = tuple(reversed(range(len(shape))))
    if sorted(order) != list(range(len(shape))):
        raise ShapeError("has an order that is no permutation of its axes")
    return [tuple(shape[axis] for axis in order)]


def concat(call: Call) -> list[Shape]:
    """Concat: sizes of one axis added up."""
    shapes = [call.shape(index) for index in range(len(call.inputs))]
    if not shapes:
        raise ShapeError("joins nothing")
    axis = axis_of(call.integer("axis", 0), len(shapes[0]))
    total = Extent(0, 0)
    for shape in shapes:
        if len(shape) != len(shapes[0]) or _without(shape, axis) != _without(shapes[0], axis):
            raise ShapeError("joins values whose shapes do not fit")
        total += shape[axis]
    return [(*shapes[0][:axis], total, *shapes[0][axis + 1 :])]


def split(call: Call) -> list[Shape]:
    """Split: one axis in parts."""
    shape, count = call.shape(), len(call.node.outputs)
    axis = axis_of(call.integer("axis", 0), len(shape))
    if call.given(1) is not None:
        parts = list(call.numbers(1))
    elif (given := call.integers("split")) is not None:
        parts = list(fixed(*given))
    else:
        # The last part is smaller where they are not even.
        part = fixed(ceil(number(shape[axis]) / count))[0] if count > 1 else shape[axis]
        parts = [*[part] * (count - 1), shape[axis]]
        for _ in range(count - 1):
            parts[-1] -= part
    if len(parts) != count or sum(parts, Extent(0, 0)) != shape[axis]:
        raise ShapeError("splits into sizes that do not add up")
    return [_sizes((*shape[:axis], part, *shape[axis + 1 :])) for part in parts]


def cut(call: Call) -> list[Shape]:
    """Slice: a stretch of each named axis."""
    shape = list(call.shape())
    starts, ends = call.numbers(1), call.numbers(2)
    axes = tuple(range(len(starts)))
    if call.given(3) is not None:
        axes = tuple(axis_of(number(axis), len(shape)) for axis in call.numbers(3))
    steps = call.numbers(4) if call.given(4) is not None else (ONE,) * len(starts)
    if not len(starts) == len(ends) == len(axes) == len(steps) or len(set(axes)) < len(axes):
        raise ShapeError("slices other axes than it has starts, ends and steps")
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        shape[axis] = stretch(shape[axis], start, end, number(step))
    return [_sizes(shape)]


def stretch(size: Extent, start: Extent, end: Extent, step: int) -> Extent:
    """Return the size of a slice of an axis: exactly, or more where the axis depends on the batch.

    Raises:
        ShapeError: The step is 0, or the ends do not say how much of the batch is left.
    """
    if step == 0:
        raise ShapeError("slices in steps of 0")
    if all(one.is_fixed for one in (size, start, end)):
        return Extent(0, len(range(*slice(int(start.constant), int(end.constant), step).indices(number(size)))))
    if step == -1 and start == Extent(0, -1) and end.is_fixed and end.constant <= -_TO_THE_END:
        return size
    if step != 1:
        raise ShapeError("slices the batch in steps")
    first = size + start if start.is_fixed and start.constant < 0 else start
    last = size if end.is_fixed and end.constant >= _TO_THE_END else end
    if end.is_fixed and end.constant < 0:
        last = size + end
    found = last - first
    if found.rows < 0:
        raise ShapeError("slices the batch from near its end to near its start")
    return Extent(0, 0) if found.is_fixed and found.constant < 0 else found


def gather(call: Call) -> list[Shape]:
    """Gather: whole slices at the indices."""
    shape = call.shape()
    axis = axis_of(call.integer("axis", 0), len(shape))
    return [(*shape[:axis], *call.shape(1), *shape[axis + 1 :])]


def gather_elements(call: Call) -> list[Shape]:
    """GatherElements: one element an index."""
    return [call.shape(1)]


def gather_nd(call: Call) -> list[Shape]:
    """GatherND: a slice for each index of several axes."""
    shape, indices = call.shape(), call.shape(1)
    if not indices:
        raise ShapeError("takes an index without axes")
    used = call.integer("batch_dims", 0) + number(indices[-1])
    if not 0 <= used <= len(shape):
        raise ShapeError("takes an index of more axes than the value has")
    return [(*indices[:-1], *shape[used:])]


def expand(call: Call) -> list[Shape]:
    """Expand: repeated along axes of size 1."""
    return [broadcast(call.shape(), _sizes(call.numbers(1)))]


def tile(call: Call) -> list[Shape]:
    """Tile: repeated along every axis."""
    shape, repeats = call.shape(), call.numbers(1)
    if len(shape) != len(repeats):
        raise ShapeError("repeats other axes than it has")
    return [_sizes([times(pair) for pair in zip(shape, repeats, strict=True)])]


def pad(call: Call) -> list[Shape]:
    """Pad: more on both ends of axes, or less."""
    shape = list(call.shape())
    pads = call.numbers(1)
    axes = tuple(range(len(shape)))
    if call.given(3) is not None:
        axes = tuple(axis_of(number(axis), len(shape)) for axis in call.numbers(3))
    if len(pads) != 2 * len(axes) or len(set(axes)) < len(axes):
        raise ShapeError("pads other axes than it has")
    for place, axis in enumerate(axes):
        shape[axis] = shape[axis] + pads[place] + pads[place + len(axes)]
    return [_sizes(shape)]


def resize(call: Call) -> list[Shape]:
    """Resize: to sizes, or by scales."""
    shape = list(call.shape())
    if call.text("keep_aspect_ratio_policy", "stretch") != "stretch":
        raise ShapeError("keeps an aspect ratio; give all sizes")
    axes = call.axes(len(call.inputs), len(shape)) or tuple(range(len(shape)))
    by_size = call.given(3) is not None
    wanted = call.numbers(3 if by_size else 2)
    if len(wanted) != len(axes):
        raise ShapeError("resizes other axes than it has")
    for axis, size in zip(axes, wanted, strict=True):
        shape[axis] = size if by_size else _scaled(shape[axis], size)
    return [_sizes(shape)]


def _scaled(size: Extent, scale: Extent) -> Extent:
    if scale == ONE:
        return size
    if not scale.is_fixed or not 0 < scale.constant < 2**31:
        raise ShapeError("resizes by a scale that is not positive")
    return Extent(0, floor(number(size) * scale.constant))


def depth_to_space(call: Call) -> list[Shape]:
    """DepthToSpace: blocks of channels as pixels."""
    rows, channels, height, width = _four(call)
    block = _block(call)
    return [_sizes((rows, quotient(channels, Extent(0, block**2)), _by(height, block), _by(width, block)))]


def space_to_depth(call: Call) -> list[Shape]:
    """SpaceToDepth: blocks of pixels as channels."""
    rows, channels, height, width = _four(call)
    block = Extent(0, _block(call))
    return [(rows, times([channels, block, block]), quotient(height, block), quotient(width, block))]


def one_hot(call: Call) -> list[Shape]:
    """OneHot: one more axis, of the given depth."""
    shape = list(call.shape())
    depth = call.numbers(1)
    axis = call.integer("axis", -1)
    if len(depth) != 1:
        raise ShapeError("has no depth")
    shape.insert(axis_of(axis, len(shape) + 1), depth[0])
    return [_sizes(shape)]


def top_k(call: Call) -> list[Shape]:
    """TopK: values and places, as many as asked for."""
    shape = list(call.shape())
    count = call.numbers(1)
    if len(count) != 1:
        raise ShapeError("does not say how many")
    shape[axis_of(call.integer("axis", -1), len(shape))] = count[0]
    return [_sizes(shape)] * 2


def grid_sample(call: Call) -> list[Shape]:
    """GridSample: one value a place of the grid."""
    shape, grid = call.shape(), call.shape(1)
    if len(shape) != len(grid) or len(shape) < 3:
        raise ShapeError("samples a grid of another rank")
    return [(*shape[:2], *grid[1:-1])]


def _sizes(shape: Sequence[Extent]) -> Shape:
    for size in shape:
        if not is_size(size):
            raise ShapeError(f"gives a size of {size.at_rows:g}")
    return tuple(shape)


def _without(shape: Shape, axis: int) -> Shape:
    return (*shape[:axis], *shape[axis + 1 :])


def _four(call: Call) -> Shape:
    shape = call.shape()
    if len(shape) != 4:
        raise ShapeError("takes a value that is not of 4 axes")
    return shape


def _block(call: Call) -> int:
    found = call.integer("blocksize", 0)
    if not 1 <= found < 2**16:
        raise ShapeError(f"has blocks of {found}")
    return found


def _by(size: Extent, factor: int) -> Extent:
    return times([size, Extent(0, factor)])
