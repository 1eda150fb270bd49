"""Sizes and paddings that a graph computes from constants alone, as exporters of TorchScript write them: as constants.

What such a node gives depends on no value, but ONNX's inference of shapes does not see that.
"""

import math

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from purecert.engine.errors import InputError
from purecert.export.from_onnx.reading import opset_of

# Of integers, all of them: cheap, and no larger than what they take, except for the one whose size is looked at first.
_FOLDED = frozenset(
    [
        "Constant",
        "ConstantOfShape",
        "Concat",
        "Reshape",
        "Slice",
        "Transpose",
        "Cast",
        "Gather",
        "Unsqueeze",
        "Squeeze",
        "Identity",
        "Add",
        "Sub",
        "Mul",
        "Neg",
    ]
)
_INTEGERS = (TensorProto.INT64, TensorProto.INT32, TensorProto.BOOL)
_IR_VERSION = 8  # which every version of ONNX Runtime in use reads
_LARGEST = 1024  # elements: no size or padding has more

Known = dict[str, NDArray[np.generic]]


def fold_sizes(model: ModelProto) -> None:
    """Let every small tensor of integers that ``model`` computes from constants alone be a constant of its own.

    Raises:
        InputError: Such a node fails, which a runtime would meet when it opens the graph.
    """
    version = opset_of(model)
    known: Known = {
        weight.name: numpy_helper.to_array(weight)
        for weight in model.graph.initializer
        if weight.data_type in _INTEGERS and math.prod(weight.dims) <= _LARGEST
    }
    kept = []
    for node in model.graph.node:
        value = _value(node, known, version)
        if value is None:
            kept.append(node)
            continue
        known[node.output[0]] = value
        model.graph.initializer.append(numpy_helper.from_array(value, node.output[0]))
    del model.graph.node[:]
    model.graph.node.extend(kept)


def _value(node: NodeProto, known: Known, version: int) -> NDArray[np.generic] | None:
    """Return what a node gives that takes constants alone, if that is a small tensor of integers; else None."""
    taken = [name for name in node.input if name]
    if (
        node.domain not in ("", "ai.onnx")
        or node.op_type not in _FOLDED
        or len(node.output) != 1
        or not known.keys() >= set(taken)
    ):
        return None
    if node.op_type == "ConstantOfShape" and _elements(known[taken[0]]) > _LARGEST:
        return None
    try:
        found = np.asarray(_run(node, {name: known[name] for name in taken}, version))
    except Exception as error:  # a runtime's errors are of many types of its own
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise InputError(
            f"node {node.name or node.output[0]} ({node.op_type}) cannot be computed from its constants: {reason}"
        ) from error
    return found if found.dtype.kind in "iub" and found.size <= _LARGEST else None


def _run(node: NodeProto, values: Known, version: int) -> object:
    """Return what ONNX Runtime makes of one node: it runs the user's file too. ONNX's evaluator slices otherwise."""
    import onnxruntime as ort

    inputs = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(value.dtype), None)
        for name, value in values.items()
    ]
    graph = helper.make_graph([node], "one", inputs, [helper.make_empty_tensor_value_info(node.output[0])])
    one = helper.make_model(graph, opset_imports=[helper.make_opsetid("", version)], ir_version=_IR_VERSION)
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    session = ort.InferenceSession(one.SerializeToString(), options, providers=["CPUExecutionProvider"])
    (value,) = session.run(None, values)
    return value


def _elements(shape: NDArray[np.generic]) -> int:
    return math.prod(int(size) for size in shape.ravel())
