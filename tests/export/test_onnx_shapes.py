"""Shapes of ONNX files that follow from the batch, though ONNX's own inference does not see it, are no refusal."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper, numpy_helper

from purecert.engine.errors import InputError
from purecert.export.from_onnx.folding import fold_sizes
from purecert.export.from_onnx.joining import joined
from purecert.export.from_onnx.reading import OnnxPipeline, read_onnx
from purecert.export.graph.rules import check_graph

_GENERATOR = np.random.default_rng(3)
_FILTERS = _GENERATOR.normal(size=(4, 1, 1, 1)).astype(np.float32)
_WEIGHTS = {100: _GENERATOR.normal(size=(100, 10)), 256: _GENERATOR.normal(size=(256, 10))}
_FLAT = helper.make_node("Flatten", ["seen"], ["flat"])


def _joined(path: Path, nodes: list[NodeProto], opset: int, size: int, **weights: NDArray[Any]) -> bytes:
    """Return the plan's graph of a classifier of images [n, 1, 8, 8] whose last step is a matrix product."""
    images = helper.make_tensor_value_info("in", TensorProto.FLOAT, ["n", 1, 8, 8])
    given = helper.make_tensor_value_info("out", TensorProto.FLOAT, ["n", 10])
    weights = {"weights": _WEIGHTS[size].astype(np.float32)} | weights
    made = [*nodes, _FLAT, helper.make_node("MatMul", ["flat", "weights"], ["out"])]
    graph = helper.make_graph(
        made, "own", [images], [given], [numpy_helper.from_array(v, k) for k, v in weights.items()]
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10), path)
    pipeline = OnnxPipeline(classifier=read_onnx(path), denoiser=None, input_range=(0, 1), mean=(0,), std=(1,))
    return joined(pipeline, (1, 8, 8)).SerializeToString()


def _assert_labels(content: bytes, features: NDArray[np.float64], rows: NDArray[np.float32]) -> None:
    check_graph(content, "fp32", {})
    (label,) = ort.InferenceSession(content, providers=["CPUExecutionProvider"]).run(["label"], {"pixels": rows})
    flat = features.reshape(len(rows), -1)
    assert np.mean(label == (flat @ _WEIGHTS[flat.shape[1]]).argmax(axis=1)) > 0.99


_ROWS = np.random.default_rng(1).integers(0, 256, (300, 1, 8, 8)).astype(np.float32)


@pytest.mark.parametrize("opset", [21, 23])
def test_a_group_normalization_keeps_its_shape(tmp_path: Path, opset: int) -> None:
    nodes = [
        helper.make_node("Conv", ["in", "filters"], ["x"]),
        helper.make_node("GroupNormalization", ["x", "scale", "shift"], ["seen"], num_groups=2),
    ]
    scale, shift = np.array([1, 2, 3, 4], np.float32), np.array([0, 1, 0, 1], np.float32)
    content = _joined(tmp_path / "a.onnx", nodes, opset, 256, filters=_FILTERS, scale=scale, shift=shift)
    x = (_ROWS / 255 * _FILTERS.reshape(1, 4, 1, 1)).astype(np.float64).reshape(300, 2, -1)
    normed = (x - x.mean(axis=2, keepdims=True)) / np.sqrt(x.var(axis=2, keepdims=True) + 1e-5)
    expected = normed.reshape(300, 4, 8, 8) * scale.reshape(1, 4, 1, 1) + shift.reshape(1, 4, 1, 1)
    _assert_labels(content, expected, _ROWS)


def _pads(**changes: Any) -> list[NodeProto]:
    """Return what PyTorch's exporter of TorchScript writes for a padding of 1 on each side."""
    zeros = numpy_helper.from_array(np.array([0], np.int64))
    return [
        helper.make_node("ConstantOfShape", ["four"], ["zeros"], value=zeros, name="zeros"),
        helper.make_node("Concat", ["ones", "zeros"], ["all"], axis=0),
        helper.make_node("Reshape", ["all", "pairs"], ["paired"]),
        helper.make_node("Slice", ["paired", "last", "least", "first", "back"], ["turned"]),
        helper.make_node("Transpose", ["turned"], ["across"], perm=[1, 0]),
        helper.make_node("Reshape", ["across", "one_axis"], ["line"]),
        helper.make_node("Cast", ["line"], ["pads"], to=TensorProto.INT64),
        helper.make_node("Pad", ["in", "pads"], ["seen"], **{"mode": "reflect"} | changes),
    ]


_NUMBERS = {
    "four": np.array([4]),
    "ones": np.ones(4, np.int64),
    "pairs": np.array([-1, 2]),
    "last": np.array([-1]),
    "least": np.array([-(2**63) + 1]),
    "first": np.array([0]),
    "back": np.array([-1]),
    "one_axis": np.array([-1]),
}


@pytest.mark.parametrize("mode", ["reflect", "edge", "constant"])
@pytest.mark.parametrize("opset", [13, 20])
def test_a_padding_that_the_graph_computes_from_constants_is_a_constant(tmp_path: Path, mode: Any, opset: int) -> None:
    content = _joined(tmp_path / "a.onnx", _pads(mode=mode), opset, 100, **_NUMBERS)
    padded = np.pad(_ROWS / 255, ((0, 0), (0, 0), (1, 1), (1, 1)), mode=mode)
    _assert_labels(content, padded.astype(np.float64), _ROWS)
    kinds = {node.op_type for node in onnx.load_from_string(content).graph.node}
    assert not kinds & {"ConstantOfShape", "Concat", "Reshape", "Slice", "Transpose"}


def test_constants_that_would_grow_stay_nodes_and_those_that_fail_are_named(tmp_path: Path) -> None:
    huge = _NUMBERS | {"four": np.array([2**40])}
    content = _joined(tmp_path / "a.onnx", _pads(), 20, 100, **huge)  # at once: nothing of that size is made
    assert "ConstantOfShape" in {node.op_type for node in onnx.load_from_string(content).graph.node}
    with pytest.raises(InputError, match=r"node classifier/.* \(Reshape\) cannot be computed from its constants"):
        _joined(tmp_path / "a.onnx", _pads(), 20, 100, **_NUMBERS | {"pairs": np.array([3, 3])})


@pytest.mark.parametrize(("start", "end", "step"), [(-100, -200, -1), (-1, -100, -1), (100, -100, -2), (2, 100, 3)])
def test_constants_are_computed_as_onnx_runtime_computes_them(start: int, end: int, step: int) -> None:
    """ONNX's own evaluator gives nothing for the first, where the runtime clamps the start and gives one value."""
    values = {
        "a": np.arange(6),
        "s": np.array([start]),
        "e": np.array([end]),
        "x": np.array([0]),
        "t": np.array([step]),
    }
    node = helper.make_node("Slice", ["a", "s", "e", "x", "t"], ["found"])
    given = helper.make_tensor_value_info("out", TensorProto.INT64, None)
    nodes = [node, helper.make_node("Identity", ["found"], ["out"])]
    weights = [numpy_helper.from_array(value, name) for name, value in values.items()]
    graph = helper.make_graph(nodes, "own", [], [given], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    (expected,) = ort.InferenceSession(model.SerializeToString(), options).run(None, {})
    fold_sizes(model)
    folded = {weight.name: numpy_helper.to_array(weight) for weight in model.graph.initializer}
    np.testing.assert_array_equal(folded["found"], expected)
