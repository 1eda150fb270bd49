"""Maxima that keep NaN: ONNX Runtime's and others' give a number where some values are NaN, and PyTorch's do not.

A row in which NaN arises must reach the logits as such, where it loses its vote. So to what a maximum gives, the sum of
all its row's values times 0 is added: 0, or NaN where one of them is infinite or NaN.
"""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

_POOLS, _REDUCTIONS = ("MaxPool", "GlobalMaxPool"), ("ReduceMax", "ReduceMin")
_FLOATS = (TensorProto.FLOAT, TensorProto.FLOAT16)


def keep_nan(model: onnx.ModelProto) -> None:
    """Add to every maximum and minimum over floats of ``model``, in place, what keeps the NaN of its row."""
    inferred = onnx.shape_inference.infer_shapes(model).graph
    types = {value.name: value.type.tensor_type for value in (*inferred.value_info, *inferred.input)}
    nodes = []
    for node in model.graph.node:
        nodes.append(node)
        given = types.get(node.input[0]) if node.op_type in (*_POOLS, *_REDUCTIONS) else None
        if given is None or given.elem_type not in _FLOATS:
            continue
        rank, found = len(given.shape.dim), types.get(node.output[0])
        if found is not None and rank > 1:
            nodes += _with_nan(model, node, given.elem_type, rank, len(found.shape.dim))
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def _with_nan(
    model: onnx.ModelProto, node: onnx.NodeProto, kind: int, rank: int, rank_after: int
) -> list[onnx.NodeProto]:
    """Return the nodes that add NaN to what ``node`` gives, which takes another name for it."""
    name = node.output[0]
    own = f"{name}.kept_nan"
    zero = np.zeros((), helper.tensor_dtype_to_np_dtype(kind))
    constants = {"zero": zero, "axes": np.arange(1, rank)}
    if rank_after > 1:
        constants["ones"] = np.arange(1, rank_after)
    for part, value in constants.items():
        model.graph.initializer.append(numpy_helper.from_array(np.asarray(value), f"{own}.{part}"))
    node.output[0] = f"{own}.largest"
    names = {part: f"{own}.{part}" for part in ("zeros", "sum", "rows")}
    summed = names["rows"] if rank_after > 1 else names["sum"]
    nodes = [
        helper.make_node("Mul", [node.input[0], f"{own}.zero"], [names["zeros"]], name=names["zeros"]),
        helper.make_node("ReduceSum", [names["zeros"], f"{own}.axes"], [names["sum"]], name=names["sum"], keepdims=0),
    ]
    if rank_after > 1:
        nodes.append(helper.make_node("Unsqueeze", [names["sum"], f"{own}.ones"], [names["rows"]], name=names["rows"]))
    return [*nodes, helper.make_node("Add", [f"{own}.largest", summed], [name], name=own)]
