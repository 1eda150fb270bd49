"""The shapes that the check of graphs finds are those of ONNX's own inference, operator by operator."""

import numpy as np
import onnx
import pytest
from onnx import NodeProto, helper

from purecert.engine.plans.graph_check import shapes_in
from purecert.engine.plans.shapes.extents import BATCH, Extent, number
from support.hostile_graphs import ENDS, model

_CONSTANTS = {
    "kernel": np.ones((6, 2, 3, 3), np.float32),
    "transposed": np.ones((4, 3, 3, 3), np.float32),
    "four": np.ones((1, 4, 9, 11), np.float32),
    "square": np.ones((11, 5), np.float32),
    "places": np.array([[0, 2], [1, 1]]),
    "axes": np.array([1, -1]),
    "sizes": np.array([1, 4, 20, 7]),
    "scales": np.array([1, 1, 2, 0.5], np.float32),
    "pads": np.array([0, 1, 2, 3, 0, 0, -1, 4]),
    "starts": np.array([1, -1]),
    "ends": np.array([9, -100]),
    "slice_axes": np.array([2, 3]),
    "steps": np.array([2, -3]),
    "two": np.array([2]),
    "depth": np.array(7),
    "values": np.array([0.0, 1.0]),
    "repeats": np.array([2, 1, 3, 1]),
    "rest": np.array([0, -1, 11]),
    "grid": np.ones((1, 3, 5, 2), np.float32),
    "parts": np.array([1, 3]),
    "four_places": np.zeros((1, 4, 2, 3), np.int64),
    "depth_end": np.array(30),
    "depth_step": np.array(4),
    "wide": np.ones((2, 4, 1, 1), np.float32),
}
_node = helper.make_node
_NODES = [
    _node("Conv", ["four", "kernel"], ["y"], group=2, pads=[1, 0, 1, 2], strides=[2, 1], dilations=[1, 2]),
    _node("Conv", ["four", "kernel"], ["y"], group=2, auto_pad="SAME_UPPER", strides=[2, 3]),
    _node("ConvTranspose", ["four", "transposed"], ["y"], strides=[2, 3], pads=[1, 0, 0, 1], output_padding=[1, 0]),
    _node("MaxPool", ["four"], ["y"], kernel_shape=[3, 2], strides=[2, 2], pads=[1, 0, 1, 1], ceil_mode=1),
    _node("AveragePool", ["four"], ["y"], kernel_shape=[2, 2], strides=[3, 3], auto_pad="VALID"),
    _node("GlobalAveragePool", ["four"], ["y"]),
    _node("MatMul", ["four", "square"], ["y"]),
    _node("Gemm", ["square", "square"], ["y"], transA=1),
    _node("Einsum", ["four", "square"], ["y"], equation="nchw,wk->nkh"),
    _node("ReduceMean", ["four", "axes"], ["y"], keepdims=0),
    _node("ReduceSum", ["four"], ["y"]),
    _node("ArgMax", ["four"], ["y"], axis=-1, keepdims=0),
    _node("Resize", ["four", "", "", "sizes"], ["y"]),
    _node("Resize", ["four", "", "scales"], ["y"]),
    _node("Pad", ["four", "pads"], ["y"]),
    _node("Slice", ["four", "starts", "ends", "slice_axes", "steps"], ["y"]),
    _node("Gather", ["four", "places"], ["y"], axis=2),
    _node("GatherElements", ["four", "four_places"], ["y"]),
    _node("Split", ["four", "parts"], ["y", "z"], axis=1),
    _node("Split", ["four"], ["y", "z"], axis=2, num_outputs=2),
    _node("Concat", ["four", "four"], ["y"], axis=-2),
    _node("Transpose", ["four"], ["y"], perm=[0, 3, 1, 2]),
    _node("Flatten", ["four"], ["y"], axis=2),
    _node("Squeeze", ["four"], ["y"]),
    _node("Unsqueeze", ["four", "axes"], ["y"]),
    _node("Tile", ["four", "repeats"], ["y"]),
    _node("Add", ["four", "wide"], ["y"]),
    _node("TopK", ["four", "two"], ["y", "z"], axis=1),
    _node("OneHot", ["places", "depth", "values"], ["y"], axis=1),
    _node("SpaceToDepth", ["pixels"], ["y"], blocksize=2),
    _node("DepthToSpace", ["four"], ["y"], blocksize=2),
    _node("GridSample", ["four", "grid"], ["y"]),
    _node("Reshape", ["four", "rest"], ["y"]),
    _node("Shape", ["four"], ["y"], start=1, end=-1),
    _node("Range", ["depth", "depth_end", "depth_step"], ["y"]),
]


@pytest.mark.parametrize("node", _NODES, ids=lambda node: node.op_type)
def test_a_shape_is_the_one_that_onnx_infers(node: NodeProto) -> None:
    held = {name: value for name, value in _CONSTANTS.items() if name in node.input}
    found = model(node, **held)
    inferred = onnx.shape_inference.infer_shapes(found, check_type=True, strict_mode=True, data_prop=True).graph
    expected = {value.name: value.type.tensor_type.shape.dim for value in inferred.value_info}
    shapes = shapes_in(found.SerializeToString(), ENDS)
    for name in node.output:
        sizes = [dim.dim_param or dim.dim_value for dim in expected[name]]
        assert [_written(extent) for extent in shapes[name]] == sizes


def _written(extent: Extent) -> int | str:
    return "batch" if extent == BATCH else number(extent)
