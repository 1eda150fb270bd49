"""A NaN inside an OpenVINO graph stays one until the logits, where the row that it belongs to loses its vote.

OpenVINO's CPU kernels for Relu, Clamp, maxima and some others turn NaN into a number, since a processor's own maximum
of NaN and 0 is 0. A row with NaN inside the network would then get a vote, which PyTorch does not give it. So those
operators are written in forms that keep NaN, operators whose kernels are not known to keep it are refused, and
``poison_check.py`` tries the whole graph.
"""

from collections.abc import Callable, Mapping

import numpy as np

from purecert.engine.backends.openvino.runtime import ops, ov
from purecert.engine.errors import BackendError

# Of Relu below 0. With a slope of 0 OpenVINO takes a maximum. For values down to -1e15 the product is below 1e-15, far
# below the rounding of what it is added to; what is near FP32's end stays visible, as in no other runtime.
_SLOPE = np.float32(1e-30)

# Kernels that keep NaN, as tests/engine/backends/openvino shows one by one; and what moves numbers or makes none.
_KEEPING = (
    "Abs Add AvgPool BatchNormInference Convolution ConvolutionBackpropData Divide Elu Erf Floor Gelu GroupConvolution "
    "Cos GroupConvolutionBackpropData GroupNormalization HSwish MVN MatMul Mish Multiply Negative PRelu Power "
    "LogSoftmax ReduceMean ReduceSum Round Selu Sigmoid Sign Sin SoftPlus SoftSign Softmax Subtract Swish Tanh"
)
_MOVING = (
    "BatchToSpace Broadcast Concat Constant Convert ConvertLike DepthToSpace Gather GatherElements GatherND "
    "Interpolate Pad Parameter Range Reshape Result Select ShapeOf Slice SpaceToDepth Split Squeeze StridedSlice "
    "Tile TopK Transpose Unsqueeze VariadicSplit "
    "Equal Greater GreaterEqual IsFinite IsInf IsNaN Less LessEqual LogicalAnd LogicalNot LogicalOr NotEqual "
    "ReduceLogicalAnd ReduceLogicalOr"
)
# What adds many values up, and what hands values on to such: there a slope of 1e-30 is as good as none.
_PASSING = "Add AvgPool Concat PRelu Pad ReduceMean Relu Reshape Squeeze StridedSlice Transpose"
_SUMMING = "Convolution ConvolutionBackpropData GroupConvolution GroupConvolutionBackpropData MatMul Result ShapeOf"
_ALLOWED = frozenset(_KEEPING.split()) | frozenset(_MOVING.split())


def keep_nan(model: ov.Model) -> None:
    """Rewrite ``model`` in place so that a NaN inside it is one in its logits.

    Raises:
        BackendError: It holds an operator that is not known to keep NaN.
    """
    for node in model.get_ordered_ops():
        kind = node.get_type_name()
        if kind in _REWRITTEN:
            if node.output(0).get_element_type().is_real():
                _replace(node, _REWRITTEN[kind])
        elif kind not in _ALLOWED:
            raise BackendError(
                f"OpenVINO is not known to keep NaN in {kind} ({node.get_friendly_name()}), so a row that overflows "
                "could get a vote; use --backend onnxruntime"
            )


def _replace(node: ov.Node, rewrite: Callable[[ov.Node], ov.Node]) -> None:
    consumers = node.output(0).get_target_inputs()  # of the node as it was: its new form takes it too
    replacement = rewrite(node)
    replacement.set_friendly_name(f"{node.get_friendly_name()}/keeps_nan")
    for consumer in consumers:
        consumer.replace_source_output(replacement.output(0))


def _relu(node: ov.Node) -> ov.Node:
    given = node.input_value(0)
    if given.get_element_type() == ov.Type.f32 and _bears_a_slope(node):
        return ops.prelu(given, ops.constant(np.array([_SLOPE])))
    return _unless_nan(node)  # slower; a slope in half would be 0


def _bears_a_slope(node: ov.Node) -> bool:
    """Return whether what takes the node's values adds them up, for which -1e-30 is as good as 0; a root is not so."""
    takers = [target.get_node() for output in node.outputs() for target in output.get_target_inputs()]
    kinds = [taker.get_type_name() for taker in takers]
    return all(
        kind in _SUMMING.split() or (kind in _PASSING.split() and _bears_a_slope(taker))
        for kind, taker in zip(kinds, takers, strict=True)
    )


def _unless_nan(node: ov.Node) -> ov.Node:
    given = node.input_value(0)
    return ops.select(ops.is_nan(given), given, node.output(0))


def _unless_either_nan(node: ov.Node) -> ov.Node:
    both = ops.add(node.input_value(0), node.input_value(1))
    return ops.select(ops.is_nan(both), both, node.output(0))


def _square_root(node: ov.Node) -> ov.Node:
    given = node.input_value(0)
    is_defined = ops.greater_equal(given, ops.constant(0, given.get_element_type()))  # not so of NaN
    return ops.select(is_defined, node.output(0), _nan_like(node))


def _largest(node: ov.Node) -> ov.Node:
    """Return the node's maxima or minima, and NaN where what they are of holds one: a maximum of marks says so."""
    given = node.input_value(0)
    kind = given.get_element_type()
    marks = ops.select(ops.is_nan(given), ops.constant(1, kind), ops.constant(0, kind))
    if node.get_type_name() == "MaxPool":
        attributes = node.get_attributes()
        names = ("strides", "dilations", "pads_begin", "pads_end", "kernel", "rounding_type", "auto_pad")
        found = ops.max_pool(marks, *(attributes[name] for name in names)).output(0)
    else:
        found = ops.reduce_max(marks, node.input_value(1), node.get_attributes()["keep_dims"]).output(0)
    return ops.select(ops.greater(found, ops.constant(0, kind)), _nan_like(node), node.output(0))


def _nan_like(node: ov.Node) -> ov.Node:
    return ops.constant(float("nan"), node.output(0).get_element_type())


_REWRITTEN: Mapping[str, Callable[[ov.Node], ov.Node]] = {
    "Relu": _relu,
    **dict.fromkeys(("Clamp", "Exp", "HSigmoid", "HardSigmoid"), _unless_nan),
    **dict.fromkeys(("Maximum", "Minimum"), _unless_either_nan),
    "Sqrt": _square_root,
    **dict.fromkeys(("MaxPool", "ReduceMax", "ReduceMin"), _largest),
}
