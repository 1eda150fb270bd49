"""An inner value becomes an output of the very graph, and nothing else changes."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from purecert.engine.plans.protocol_buffers import with_output
from support.plans import linear_plan

_WEIGHT = np.arange(-6, 6, dtype=np.float32)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    directory: Path = tmp_path_factory.mktemp("probe") / "plan"
    return linear_plan(directory, _WEIGHT, 100.5, (3, 2, 2)).read_graph(0.5)


def _open(model: bytes) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def _pixels() -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    return np.random.default_rng(5).integers(-300, 600, (16, 3, 2, 2)).astype(np.float32)


def test_the_added_output_is_the_inner_value(model: bytes) -> None:
    pixels = _pixels()
    flat = pixels.reshape(16, 12)
    # Small integers: every sum is exact, in any order.
    logits = np.stack([np.zeros(16, np.float32), flat @ _WEIGHT - np.float32(100.5)], axis=1)
    expected = {"flat": flat, "logits": logits, "zero_or_nan": np.zeros((16, 2), np.float32)}
    for name, value in expected.items():
        session = _open(with_output(model, name))
        assert [output.name for output in session.get_outputs()] == ["label", name]
        np.testing.assert_array_equal(session.run([name], {"pixels": pixels})[0], value)


def test_the_labels_stay_what_they_were(model: bytes) -> None:
    pixels = _pixels()
    before = _open(model).run(["label"], {"pixels": pixels})[0]
    after = _open(with_output(model, "logits")).run(["label"], {"pixels": pixels})[0]
    np.testing.assert_array_equal(before, after)
    np.testing.assert_array_equal(before, (pixels.reshape(16, 12) @ _WEIGHT > 100.5).astype(np.int32))


def test_two_values_can_be_added_one_after_the_other(model: bytes) -> None:
    session = _open(with_output(with_output(model, "flat"), "logits"))
    assert [output.name for output in session.get_outputs()] == ["label", "flat", "logits"]


def test_onnx_reads_the_same_model_with_one_more_output(model: bytes) -> None:
    before, after = onnx.load_from_string(model), onnx.load_from_string(with_output(model, "logits"))
    assert [output.name for output in after.graph.output] == ["label", "logits"]
    del after.graph.output[1]
    assert after == before


def test_a_value_that_is_not_in_the_graph_is_refused_by_the_runtime(model: bytes) -> None:
    with pytest.raises(Exception, match="absent"):  # the runtime's errors share no base class
        _open(with_output(model, "absent"))


def _identity(name: str) -> bytes:
    """Return a model of two identities with ``name`` between them."""
    nodes = [helper.make_node("Neg", ["x"], [name]), helper.make_node("Neg", [name], ["y"])]
    ends = [helper.make_tensor_value_info(end, TensorProto.FLOAT, [2]) for end in ("x", "y")]
    graph = helper.make_graph(nodes, "test", ends[:1], ends[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    return bytes(model.SerializeToString())


@pytest.mark.parametrize("length", [1, *range(121, 131), 16_379, 16_383, 16_384, 70_000])
def test_names_of_any_length_are_found(length: int) -> None:
    """At 128 and 16,384 bytes a length takes one byte more, in each of the nested messages."""
    name = "n" * length
    session = _open(with_output(_identity(name), name))
    assert session.run([name], {"x": np.array([1, -2], np.float32)})[0].tolist() == [-1, 2]


@settings(max_examples=50, deadline=None)
@given(st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1).filter(lambda name: name not in "xy"))
def test_names_in_any_script_are_read_back(name: str) -> None:
    model = onnx.load_from_string(with_output(_identity(name), name))
    assert [output.name for output in model.graph.output] == ["y", name]
