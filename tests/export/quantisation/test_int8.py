"""INT8 plans: fixed scales, layers kept in FP32 that lose votes, and rows that stay alone."""

import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from purecert.engine.backends.lower_precision import has_instructions
from purecert.engine.errors import CheckError
from purecert.engine.plans.plan import Plan, read_plan
from purecert.engine.plans.protocol_buffers import with_output
from purecert.export.graph.program import LOGITS
from purecert.export.quantisation.kept_layers import _fewest, choose_layers
from purecert.export.quantisation.quantise import products_of, quantised
from purecert.export.quantisation.ranges import measured_ranges
from support.commands import engine

_NUMBERS = ("--data", "digits:test[:2]", "--sigma", "0.25", "--n", "200", "--n0", "20", "--probe-rows", "64")


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    if not has_instructions("int8"):
        pytest.skip("this processor has no VNNI, so no INT8 plan is exported or run here")
    path = tmp_path_factory.mktemp("int8") / "plan"
    said = engine("export", "demo", "-o", path, "--sigma", "0.25", "--precision", "int8", "--parity-draws", "400")
    assert "INT8 in all 23 layers" in said.expect(0).err
    return read_plan(path)


def test_the_demo_is_in_int8_but_for_its_last_layer(exported: Plan) -> None:
    model = onnx.load_from_string(exported.read_graph(0.25))
    kinds = [node.op_type for node in model.graph.node]
    assert "DynamicQuantizeLinear" not in kinds
    makers = {output: node for node in model.graph.node for output in node.output}
    products = [node for node in model.graph.node if node.op_type in ("Conv", "Gemm", "MatMul")]
    in_int8 = [all(makers[name].op_type == "DequantizeLinear" for name in node.input[:2]) for node in products]
    assert in_int8 == [True] * 23 + [False]
    assert not exported.has_program
    assert exported.record.fp32_islands == {}


def test_scales_are_constants_and_weights_have_one_for_each_output(exported: Plan) -> None:
    model = onnx.load_from_string(exported.read_graph(0.25))
    weights = {entry.name: numpy_helper.to_array(entry) for entry in model.graph.initializer}
    makers = {output: node for node in model.graph.node for output in node.output}
    for node in model.graph.node:
        if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
            assert np.all(weights[node.input[1]] > 0)
        if node.op_type == "Conv":
            maker = makers[node.input[1]]
            assert weights[maker.input[0]].dtype == np.int8
            assert weights[maker.input[1]].shape == (weights[maker.input[0]].shape[0],)


def test_no_row_can_overflow_in_it_so_none_votes_that_should_not(exported: Plan) -> None:
    assert exported.is_finite_inside(0.25)


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
def test_a_run_says_int8_and_is_gated(backend: str, exported: Plan, tmp_path: Path) -> None:
    if backend == "openvino":
        pytest.importorskip(
            "purecert.engine.backends.openvino.cpu", reason="OpenVINO is not installed", exc_type=ImportError
        )
    run = tmp_path / "run"
    arguments = ("--plan", exported.directory, *_NUMBERS, "--backend", backend, "--out", run)
    engine("certify", *arguments).expect(0)
    assert json.loads((run / "run.json").read_text())["backend"]["executed_precision"] == "int8"
    said = engine("report", run).expect(0).out
    assert "not gated" not in said
    assert "executed precision" not in said


def test_pytorch_runs_no_int8_plan(exported: Plan, tmp_path: Path) -> None:
    arguments = ("--plan", exported.directory, *_NUMBERS, "--backend", "torch", "--out", tmp_path / "run")
    said = engine("certify", *arguments).expect(3)
    assert said.err.splitlines()[-1] == ("error: backend torch runs no plan in int8; choose onnxruntime or openvino")


def _network(*weights: NDArray[np.float32]) -> bytes:
    """Return convolutions of one pixel in a row, and a last layer to two logits, as an FP32 graph."""
    nodes, constants, name = [], [], "pixels"
    for place, weight in enumerate(weights):
        constants.append(numpy_helper.from_array(weight, f"layers.{place}.weight"))
        nodes.append(
            helper.make_node("Conv", [name, f"layers.{place}.weight"], [f"given_{place}"], name=f"conv_{place}")
        )
        name = f"given_{place}"
    head = np.random.default_rng(9).normal(0, 1, (weights[-1].shape[0], 2)).astype(np.float32)
    constants.append(numpy_helper.from_array(head, "head.weight"))
    nodes += [
        helper.make_node("Flatten", [name], ["flat"], name="flatten"),
        helper.make_node("Gemm", ["flat", "head.weight"], [LOGITS], name="head"),
        helper.make_node("ArgMax", [LOGITS], ["top"], name="top", axis=1, keepdims=0),
        helper.make_node("Cast", ["top"], ["label"], name="cast", to=TensorProto.INT32),
    ]
    graph = helper.make_graph(
        nodes,
        "test",
        [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["batch", 3, 1, 1])],
        [helper.make_tensor_value_info("label", TensorProto.INT32, ["batch"])],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    return bytes(model.SerializeToString())


def _weights(seed: int, *shape: int) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(0, 1, (*shape, 1, 1)).astype(np.float32)


def _rows(seed: int, count: int) -> list[NDArray[np.generic]]:
    return [np.random.default_rng(seed).integers(0, 256, (count, 3, 1, 1)).astype(np.float32)]


def test_a_layer_in_int8_is_what_its_scales_say() -> None:
    content = _network(_weights(1, 8, 3))
    rows = _rows(2, 256)
    model = onnx.load_from_string(content)
    assert [node.name for node in products_of(model)] == ["conv_0"]  # the head gives the logits
    result = quantised(model, ["conv_0"], measured_ranges(content, ["pixels"], rows))
    entries = {entry.name: numpy_helper.to_array(entry) for entry in onnx.load_from_string(result).graph.initializer}
    scale, zero = entries["pixels_scale"], entries["pixels_zero_point"].astype(np.float64)
    steps = np.clip(np.rint(rows[0][:, :, 0, 0] / scale) + zero, 0, 255)
    integers = entries["layers.0.weight_quantized"][:, :, 0, 0].astype(np.float64)
    exact = (steps - zero) @ integers.T * float(scale) * entries["layers.0.weight_scale"].astype(np.float64)
    out_scale, out_zero = entries["given_0_scale"], entries["given_0_zero_point"].astype(np.float64)
    rounded = (np.clip(np.rint(exact / out_scale) + out_zero, 0, 255) - out_zero) * out_scale
    expected = rounded @ entries["head.weight"].astype(np.float64)
    session = ort.InferenceSession(with_output(result, LOGITS), providers=["CPUExecutionProvider"])
    found = session.run([LOGITS], {"pixels": rows[0]})[0]
    # A value at the middle of a step may be rounded to either side: a step of the output, times the head's weights.
    assert np.abs(found - expected).max() <= 1.01 * float(out_scale) * np.abs(entries["head.weight"]).sum(axis=0).max()
    assert np.mean(np.abs(found - expected) < 1e-3 * np.abs(expected).max()) > 0.9


def test_a_layer_that_loses_votes_is_kept_and_named() -> None:
    # One channel between the last two layers is a thousand times the others, which share its scale and vanish.
    middle, last = _weights(3, 8, 8), _weights(4, 8, 8)
    middle[0] *= 1000
    last[:, 0] /= 1e6
    content = _network(_weights(8, 8, 3), middle, last)
    ranges = measured_ranges(content, ["pixels"], _rows(5, 512))
    said: list[str] = []
    chosen = choose_layers(content, ["pixels"], ranges, _rows(6, 512), said.append)
    assert set(chosen.kept) == {"layers.1", "layers.2"}
    assert "of the votes in INT8 alone" in chosen.kept["layers.1"]
    assert "in FP32, those that lose the most" in said[-1]


def test_a_network_of_which_no_layer_can_be_in_int8_is_refused() -> None:
    content = _network(_weights(3, 8, 3))
    dark = [np.full((64, 3, 1, 1), 1e-3, np.float32)]  # of which the scales cut off every pixel
    with pytest.raises(CheckError, match="no layer can be in INT8: fewer than 98% of the labels"):
        choose_layers(content, ["pixels"], measured_ranges(content, ["pixels"], dark), _rows(6, 512), lambda _: None)


@given(st.integers(1, 80), st.data())
def test_no_more_layers_are_kept_than_have_to_be(most: int, data: st.DataObject) -> None:
    needed = data.draw(st.integers(1, most))
    assert _fewest(most, lambda kept: kept >= needed) == needed
