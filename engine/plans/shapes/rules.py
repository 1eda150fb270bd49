"""Which rule gives the shapes of an operator's outputs, and what a node costs."""

from collections.abc import Callable, Mapping, Sequence
from math import prod

from purecert.engine.plans.allowed_operators import (
    AS_FIRST,
    BROADCAST,
    MAX_WINDOW,
    OPERATORS,
    POOLED,
    REDUCED,
    TYPE_BYTES,
)
from purecert.engine.plans.shapes import places, products, sources, windows
from purecert.engine.plans.shapes.extents import ONE, Shape, ShapeError, broadcast, elements
from purecert.engine.plans.shapes.reading import Call, axis_of

_FLOAT = 1  # TensorProto.DataType

Rule = Callable[[Call], list[Shape]]


def shapes_of(call: Call) -> list[Shape]:
    """Return the shapes of the outputs that a node may have.

    Raises:
        ShapeError: Its inputs do not fit, or a shape does not follow from weights and the batch.
    """
    return rule_of(call.node.kind)(call)


def rule_of(operator: str) -> Rule:
    """Return the rule of an allowed operator."""
    group = OPERATORS[operator]
    return _OF_GROUPS[group] if group in _OF_GROUPS else _OWN[operator]


def work_of(call: Call, shapes: Sequence[Shape]) -> int:
    """Return how many multiplications a node does, or how many elements it reads or writes, whichever are more.

    At a batch of ``ROWS``.
    """
    read = sum(elements(value.shape) for value in call.inputs if value is not None)
    written = sum(elements(shape) for shape in shapes)
    return max(read, written, _multiplications(call, written))


def _multiplications(call: Call, written: int) -> int:
    kind = call.node.kind
    if kind in ("Conv", "ConvInteger", "QLinearConv"):
        weight = call.shape(3 if kind == "QLinearConv" else 1)
        return written * elements(weight[1:])
    if kind == "ConvTranspose":
        return elements(call.shape()) * elements(call.shape(1)[1:])
    if kind in ("MatMul", "MatMulInteger", "QLinearMatMul"):
        return written * elements(call.shape()[-1:])
    if kind == "Gemm":
        return written * elements(call.shape()[:1] if call.integer("transA", 0) else call.shape()[1:])
    if kind == "Einsum":
        return elements(tuple(products.einsum_terms(call)[1].values()))
    if kind == "Attention":
        # Heads are an axis, or lie in the width: each query meets each key over its whole width.
        return 2 * elements(call.shape()) * elements(call.shape(1)[-2:-1])
    if OPERATORS[kind] == POOLED:
        return written * prod(call.integers("kernel_shape") or (1,))
    return 0


def _as_first(call: Call) -> list[Shape]:
    if call.node.kind == "Dropout" and (training := call.given(2)) is not None:
        held = training.numbers
        if held is None or any(one.constant for one in held):
            raise ShapeError("is in training, where it draws at random")
    if call.integer("to", _FLOAT) not in TYPE_BYTES:
        raise ShapeError(f"casts to type {call.integer('to', 0)}, which is not a plain number")
    if not 0 <= call.integer("size", 0) <= MAX_WINDOW:  # of LRN, which pads the channels by as many
        raise ShapeError(f"has a window of {call.integer('size', 0)}")
    if call.integer("training_mode", 0):
        raise ShapeError("is in training, where it depends on the whole batch")
    return [call.shape()]


def _broadcast(call: Call) -> list[Shape]:
    if not call.inputs:
        raise ShapeError("has no input")
    return [broadcast(*(call.shape(index) for index in range(len(call.inputs))))]


def _reduced(call: Call) -> list[Shape]:
    shape = call.shape()
    axes = call.axes(1, len(shape))
    if not axes:
        axes = () if call.integer("noop_with_empty_axes", 0) else tuple(range(len(shape)))
    return [_without(shape, axes, keep=call.integer("keepdims", 1) != 0)]


def _best(call: Call) -> list[Shape]:
    shape = call.shape()
    axis = axis_of(call.integer("axis", 0), len(shape))
    return [_without(shape, (axis,), keep=call.integer("keepdims", 1) != 0)]


def _without(shape: Shape, axes: Sequence[int], *, keep: bool) -> Shape:
    if keep:
        return tuple(ONE if axis in axes else size for axis, size in enumerate(shape))
    return tuple(size for axis, size in enumerate(shape) if axis not in axes)


_OF_GROUPS: Mapping[str, Rule] = {
    AS_FIRST: _as_first,
    BROADCAST: _broadcast,
    REDUCED: _reduced,
    POOLED: windows.pool,
}
_OWN: Mapping[str, Rule] = {
    "ArgMax": _best,
    "ArgMin": _best,
    "Attention": products.attention,
    "Concat": places.concat,
    "Constant": sources.constant,
    "ConstantOfShape": sources.constant_of_shape,
    "Conv": windows.convolution,
    "ConvInteger": windows.convolution,
    "ConvTranspose": windows.transposed_convolution,
    "DepthToSpace": places.depth_to_space,
    "Einsum": products.einsum,
    "Expand": places.expand,
    "Flatten": places.flatten,
    "Gather": places.gather,
    "GatherElements": places.gather_elements,
    "GatherND": places.gather_nd,
    "Gemm": products.affine,
    **dict.fromkeys(("GlobalAveragePool", "GlobalLpPool", "GlobalMaxPool"), windows.global_pool),
    "GridSample": places.grid_sample,
    "MatMul": products.matrix_product,
    "MatMulInteger": products.matrix_product,
    "OneHot": places.one_hot,
    "Pad": places.pad,
    "QLinearConv": windows.quantised_convolution,
    "QLinearMatMul": products.quantised_product,
    "Range": sources.count,
    "Reshape": places.reshape,
    "Resize": places.resize,
    "Shape": sources.extents,
    "Size": sources.one_number,
    "Slice": places.cut,
    "SpaceToDepth": places.space_to_depth,
    "Split": places.split,
    "Squeeze": places.squeeze,
    "Tile": places.tile,
    "TopK": places.top_k,
    "Transpose": places.transpose,
    "Unsqueeze": places.unsqueeze,
}
