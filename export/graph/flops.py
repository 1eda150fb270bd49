"""Floating-point operations of one row, counted from a plan's ONNX graph: its matrix products, two a multiply-add."""

from collections.abc import Callable, Mapping
from math import prod

import onnx
from onnx import ModelProto, NodeProto

from purecert.engine.errors import InputError

Shapes = Mapping[str, tuple[int, ...]]

_OWN_DOMAINS = ("", "ai.onnx")
# What holds products that are not counted below. Anything outside ONNX's own domain may hold them too.
_REFUSED = frozenset(
    {
        *("AffineGrid", "CausalConvWithState", "DFT", "DeformConv", "Det", "Einsum", "LinearAttention", "STFT"),
        *("ConvInteger", "MatMulInteger", "QLinearConv", "QLinearMatMul"),
        *("GRU", "LSTM", "RNN", "If", "Loop", "Scan", "SequenceMap"),
    }
)


def count_flops(model: bytes) -> int:
    """Return the operations of one row of the ONNX ``model``, whose inputs have the batch as their first dimension.

    Convolutions, matrix products and attention are counted; what is done element by element is not.

    Raises:
        InputError: The graph is none, a shape is not known, or it holds products that are not counted here.
    """
    try:
        proto = _with_one_row(onnx.load_from_string(model))
    except Exception as error:  # protobuf's and ONNX's errors share no base class
        raise InputError(
            f"expected an ONNX graph whose shapes can be inferred: {error}; export the plan again"
        ) from error
    if proto.functions:
        raise InputError(f"operations of function {proto.functions[0].name} are not counted; inline it before export")
    shapes = _shapes(proto)
    return sum(_node_flops(node, shapes) for node in proto.graph.node)


def _with_one_row(model: ModelProto) -> ModelProto:
    """Return the model at batch 1 with every shape inferred anew."""
    for value in model.graph.input:
        value.type.tensor_type.shape.dim[0].dim_value = 1
    for value in model.graph.output:
        value.type.tensor_type.ClearField("shape")
    del model.graph.value_info[:]
    return onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True, data_prop=True)


def _shapes(model: ModelProto) -> dict[str, tuple[int, ...]]:
    """Return the shape of every value whose dimensions are all numbers."""
    found = {weight.name: tuple(weight.dims) for weight in model.graph.initializer}
    for value in (*model.graph.input, *model.graph.value_info, *model.graph.output):
        shape = value.type.tensor_type.shape
        if value.type.tensor_type.HasField("shape") and all(dim.HasField("dim_value") for dim in shape.dim):
            found[value.name] = tuple(dim.dim_value for dim in shape.dim)
    return found


def _node_flops(node: NodeProto, shapes: Shapes) -> int:
    if node.domain not in _OWN_DOMAINS or node.op_type in _REFUSED:
        name = f"{node.domain}.{node.op_type}" if node.domain else node.op_type
        raise InputError(f"operations of {name} are not counted, and it may hold matrix products; export without it")
    count = _COUNTED.get(node.op_type)
    if count is None:
        return 0
    try:
        return 2 * count(node, shapes)
    except KeyError as error:
        raise InputError(f"the shape of {error} is not known, so {node.op_type} cannot be counted") from error


def _convolution(node: NodeProto, shapes: Shapes) -> int:
    # Each value that comes out sums over [channels of its group, kernel].
    return prod(shapes[node.output[0]]) * prod(shapes[node.input[1]][1:])


def _transposed_convolution(node: NodeProto, shapes: Shapes) -> int:
    # Each value that goes in is multiplied with [channels out of its group, kernel].
    return prod(shapes[node.input[0]]) * prod(shapes[node.input[1]][1:])


def _product(node: NodeProto, shapes: Shapes) -> int:
    return prod(shapes[node.output[0]]) * shapes[node.input[0]][-1]


def _gemm(node: NodeProto, shapes: Shapes) -> int:
    transposes = any(entry.name == "transA" and entry.i for entry in node.attribute)
    return prod(shapes[node.output[0]]) * shapes[node.input[0]][0 if transposes else 1]


def _attention(node: NodeProto, shapes: Shapes) -> int:
    # Each query meets each key over its own width, and its result is a sum over as many values; [.., length, width]
    # whether the heads are an axis or lie in the width.
    past = shapes[node.input[4]][-2] if len(node.input) > 4 and node.input[4] else 0
    keys = shapes[node.input[1]][-2] + past
    return (prod(shapes[node.input[0]]) + prod(shapes[node.output[0]])) * keys


_COUNTED: Mapping[str, Callable[[NodeProto, Shapes], int]] = {
    "Attention": _attention,
    "Conv": _convolution,
    "ConvTranspose": _transposed_convolution,
    "Gemm": _gemm,
    "MatMul": _product,
}
