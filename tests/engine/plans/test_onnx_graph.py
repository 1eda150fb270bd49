"""The nodes of an ONNX file are read as the onnx package reads them."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from purecert.engine.errors import InputError
from purecert.engine.plans.onnx_graph import read_graph
from purecert.engine.plans.plan import read_plan


def test_a_plans_nodes_and_weights_are_those_of_the_onnx_package(demo_plan_fp16: Path) -> None:
    content = read_plan(demo_plan_fp16).read_graph(0.5)
    expected = onnx.load_from_string(content).graph
    found = read_graph(content)
    assert [(n.name, n.kind, n.domain, list(n.inputs), list(n.outputs)) for n in found.nodes] == [
        (n.name, n.op_type, n.domain, list(n.input), list(n.output)) for n in expected.node
    ]
    assert found.weights == {weight.name: tuple(weight.dims) for weight in expected.initializer}
    assert found.inputs == {entry.name for entry in expected.input}


def test_the_weights_of_a_product_are_found_behind_casts_and_transpositions() -> None:
    nodes = [
        helper.make_node("Cast", ["module.weight"], ["cast"], "cast", to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["cast"], ["turned"], "turn", perm=[1, 0]),
        helper.make_node("Gemm", ["pixels", "turned", "module.bias"], ["product"], "gemm"),
        helper.make_node("MatMul", ["product", "product"], ["square"], "square"),
    ]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [2, 2]) for name in ("pixels", "square")]
    weights = [
        numpy_helper.from_array(np.ones((2, 2), np.float16), "module.weight"),
        numpy_helper.from_array(np.ones(2, np.float32), "module.bias"),
    ]
    graph = read_graph(
        helper.make_model(helper.make_graph(nodes, "test", ends[:1], ends[1:], weights)).SerializeToString()
    )
    gemm, square = graph.nodes[2:]
    assert graph.weights_of(gemm) == ("module.weight",)
    assert graph.weights_of(square) == ()


def test_packed_extents_are_read_too() -> None:
    """A writer may pack repeated numbers in one field; the onnx package does not."""
    tensor = b"\x0a\x03\x03\xac\x02" + b"\x10\x01" + b"\x42\x01w"  # dims [3, 300], FLOAT, "w"
    assert list(TensorProto.FromString(tensor).dims) == [3, 300]
    graph = b"\x0a\x05\x22\x03Add" + b"\x2a" + bytes([len(tensor)]) + tensor
    assert read_graph(b"\x3a" + bytes([len(graph)]) + graph).weights == {"w": (3, 300)}


def test_what_depends_on_the_pixels_is_told_from_what_depends_on_the_batch() -> None:
    nodes = [
        helper.make_node("Shape", ["pixels"], ["extents"], "shape"),
        helper.make_node("Expand", ["time", "extents"], ["times"], "repeat"),
        helper.make_node("MatMul", ["times", "weight"], ["embedded"], "fixed"),
        helper.make_node("Add", ["pixels", "embedded"], ["sum"], "add"),
        helper.make_node("MatMul", ["sum", "weight"], ["label"], "product"),
    ]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [2, 2]) for name in ("pixels", "label")]
    weights = [numpy_helper.from_array(np.ones((2, 2), np.float32), name) for name in ("time", "weight")]
    model = helper.make_model(helper.make_graph(nodes, "test", ends[:1], ends[1:], weights))
    assert read_graph(model.SerializeToString()).varying() == {"pixels", "sum", "label"}


@pytest.mark.parametrize("keep", [0.1, 0.5, 0.9])
def test_a_file_that_was_cut_is_refused(demo_plan_fp16: Path, keep: float) -> None:
    content = read_plan(demo_plan_fp16).read_graph(0.5)
    with pytest.raises(InputError, match="expected an ONNX model, found damaged bytes"):
        read_graph(content[: int(keep * len(content))])


@pytest.mark.parametrize("content", [b"", b"\x08\x0a", b"\xff" * 64, b"\x3a\x03abc"])
def test_what_is_no_model_is_refused(content: bytes) -> None:
    with pytest.raises(InputError, match="expected an ONNX model, found"):
        read_graph(content)
