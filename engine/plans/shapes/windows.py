"""Shapes of what slides a window over pixels."""

from math import ceil

from purecert.engine.plans.shapes.extents import Extent, Shape, ShapeError, number, times
from purecert.engine.plans.shapes.reading import Call

_SAME = ("SAME_UPPER", "SAME_LOWER")


def convolution(call: Call) -> list[Shape]:
    """Conv and ConvInteger: input 2 has the weights."""
    return _convolution(call, call.shape(1))


def quantised_convolution(call: Call) -> list[Shape]:
    """QLinearConv: input 4 has the weights."""
    return _convolution(call, call.shape(3))


def _convolution(call: Call, weight: Shape) -> list[Shape]:
    shape = call.shape()
    _check_ranks(shape, weight)
    if times([weight[1], Extent(0, call.integer("group", 1))]) != shape[1]:
        raise ShapeError("has weights for another number of channels")
    kernel = tuple(number(size) for size in weight[2:])
    if call.window("kernel_shape", len(kernel), 1, 1) != kernel and "kernel_shape" in call.node.attributes:
        raise ShapeError("has another kernel than its weights")
    return [(shape[0], weight[0], *_slid(call, shape[2:], kernel, ceils=False))]


def pool(call: Call) -> list[Shape]:
    """MaxPool (whose second output has places), AveragePool and LpPool."""
    shape = call.shape()
    _check_ranks(shape, shape)
    kernel = call.window("kernel_shape", len(shape) - 2, 0, 1)
    found = (*shape[:2], *_slid(call, shape[2:], kernel, ceils=call.integer("ceil_mode", 0) != 0))
    return [found] * (2 if call.node.kind == "MaxPool" else 1)


def global_pool(call: Call) -> list[Shape]:
    """GlobalAveragePool and its like: one value a channel."""
    shape = call.shape()
    _check_ranks(shape, shape)
    return [(*shape[:2], *(Extent(0, 1) for _ in shape[2:]))]


def transposed_convolution(call: Call) -> list[Shape]:
    """ConvTranspose."""
    shape, weight = call.shape(), call.shape(1)
    _check_ranks(shape, weight)
    axes = len(shape) - 2
    channels = times([weight[1], Extent(0, call.integer("group", 1))])
    if weight[0] != shape[1]:
        raise ShapeError("has weights for another number of channels")
    if "output_shape" in call.node.attributes:
        return [(shape[0], channels, *(Extent(0, size) for size in call.window("output_shape", axes, 0, 1)))]
    strides, dilations = call.window("strides", axes, 1, 1), call.window("dilations", axes, 1, 1)
    more, pads = call.window("output_padding", axes, 0, 0), call.window("pads", 2 * axes, 0, 0)
    same = call.text("auto_pad", "NOTSET") in _SAME
    sizes = []
    for axis in range(axes):
        size, kernel = number(shape[2 + axis]), number(weight[2 + axis])
        reach = (kernel - 1) * dilations[axis] + 1
        found = strides[axis] * (size - 1) + more[axis] + reach - pads[axis] - pads[axis + axes]
        sizes.append(_positive(size * strides[axis] if same else found))
    return [(shape[0], channels, *sizes)]


def _slid(call: Call, sizes: Shape, kernel: tuple[int, ...], *, ceils: bool) -> Shape:
    axes = len(sizes)
    strides, dilations = call.window("strides", axes, 1, 1), call.window("dilations", axes, 1, 1)
    pads, auto = call.window("pads", 2 * axes, 0, 0), call.text("auto_pad", "NOTSET")
    found = []
    for axis in range(axes):
        size = number(sizes[axis])
        reach = (kernel[axis] - 1) * dilations[axis] + 1
        if auto in _SAME:
            found.append(_positive(ceil(size / strides[axis])))
            continue
        before, after = (0, 0) if auto == "VALID" else (pads[axis], pads[axis + axes])
        room = size + before + after - reach
        count = (ceil(room / strides[axis]) if ceils else room // strides[axis]) + 1
        # The last window starts within the pixels or the padding before them.
        if ceils and (count - 1) * strides[axis] >= size + before:
            count -= 1
        found.append(_positive(count))
    return tuple(found)


def _positive(size: int) -> Extent:
    if size < 1:
        raise ShapeError("slides a window that is larger than its pixels")
    return Extent(0, size)


def _check_ranks(shape: Shape, weight: Shape) -> None:
    if len(shape) < 3 or len(weight) != len(shape):
        raise ShapeError("slides a window over a value of another rank")
