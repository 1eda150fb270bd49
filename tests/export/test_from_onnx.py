"""ONNX classifiers become plans that vote as the closed form of the graph says; what no plan may hold is refused."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from click.testing import CliRunner
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from purecert.engine.errors import InputError
from purecert.engine.plans.plan import read_plan
from purecert.export.commands import export_command
from purecert.export.from_onnx.reading import OnnxFile, OnnxPipeline
from purecert.export.from_onnx.reference import OnnxReference

_WEIGHTS = np.random.default_rng(3).normal(size=(64, 10)).astype(np.float32)
_FLAT = (("Flatten", ["in"], "flat"),)
_LINEAR = (*_FLAT, ("MatMul", ["flat", "weights"], "out"))


def _write(
    path: Path,
    nodes: tuple[tuple[str, list[str], str], ...],
    out: list[int | str],
    *,
    batch: int | str = "n",
    opset: int = 20,
) -> Path:
    """Write a graph of FP32 images [batch, 1, 8, 8] whose nodes are (kind, inputs, output)."""
    images = helper.make_tensor_value_info("in", TensorProto.FLOAT, [batch, 1, 8, 8])
    given = helper.make_tensor_value_info("out", TensorProto.FLOAT, out)
    made = [helper.make_node(kind, taken, [output], name=output) for kind, taken, output in nodes]
    weights = [
        numpy_helper.from_array(_WEIGHTS, "weights"),
        numpy_helper.from_array(np.array(0.7, np.float32), "shrink"),
        numpy_helper.from_array(np.array([0], np.int64), "first_axis"),
    ]
    used = {name for _, taken, _ in nodes for name in taken}
    graph = helper.make_graph(made, "own", [images], [given], [w for w in weights if w.name in used])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10), path)
    return path


def _write_old(path: Path, opset: int, nodes: list[onnx.NodeProto]) -> Path:
    """Write a graph of an older opset and of IR version 4, from images ``in`` to logits ``out``."""
    images = helper.make_tensor_value_info("in", TensorProto.FLOAT, ["n", 1, 8, 8])
    given = helper.make_tensor_value_info("out", TensorProto.FLOAT, ["n", 10])
    scales = numpy_helper.from_array(np.array([1, 1, 2, 2], np.float32), "scales")
    graph = helper.make_graph(nodes, "old", [images], [given], [numpy_helper.from_array(_WEIGHTS, "weights"), scales])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=4), path)
    return path


_LAST = [helper.make_node("Flatten", ["seen"], ["flat"]), helper.make_node("MatMul", ["flat", "weights"], ["out"])]


@pytest.mark.parametrize("opset", [9, 11])
def test_older_files_become_plans(opset: int, tmp_path: Path) -> None:
    clip = {"min": 0.2, "max": 0.7} if opset < 11 else {}
    nodes = [helper.make_node("Clip", ["in"], ["seen"], **clip), *_LAST]
    code, said = _export(_write_old(tmp_path / "old.onnx", opset, nodes), "-o", tmp_path / "plan")
    assert code == 0, said
    rows = np.random.default_rng(1).integers(-400, 656, (500, 1, 8, 8)).astype(np.float32)
    seen = rows / 255 if opset == 11 else np.clip(rows / 255, 0.2, 0.7)
    assert np.mean(_labels(tmp_path / "plan", rows) == (seen.reshape(500, 64) @ _WEIGHTS).argmax(axis=1)) >= 0.998


def test_a_file_that_the_runtime_does_not_open_is_refused() -> None:
    empty = OnnxFile(stored=onnx.ModelProto(), graph=onnx.ModelProto())
    pipeline = OnnxPipeline(classifier=empty, denoiser=None, input_range=(0, 1), mean=(0,), std=(1,))
    with pytest.raises(InputError, match=r"expected ONNX files that ONNX Runtime opens, got: .*; export them anew"):
        OnnxReference(pipeline)


def test_what_the_converter_of_older_files_changes_is_found(tmp_path: Path) -> None:
    small = helper.make_node("AveragePool", ["large"], ["seen"], kernel_shape=[2, 2], strides=[2, 2])
    for opset, nodes in (
        (9, [helper.make_node("Upsample", ["in", "scales"], ["large"], mode="linear"), small]),  # other coordinates
        (11, [helper.make_node("Hardmax", ["in"], ["seen"], axis=2)]),  # over all further axes before opset 13
    ):
        old = _write_old(tmp_path / "old.onnx", opset, [*nodes, *_LAST])
        code, said = _export(old, "-o", tmp_path / "plan")
        assert (code, (tmp_path / "plan").exists()) == (4, False), said
        assert "old.onnx: an older opset was converted, and the fp32 plan does not vote like" in said
        assert said.endswith("export the file with opset 18 or newer")


def test_a_refusal_of_the_joined_graph_names_the_file(tmp_path: Path) -> None:
    norm = helper.make_node("BatchNormalization", ["in", *["one"] * 4], ["seen", "a", "b"], training_mode=1)
    path = _write_old(tmp_path / "own.onnx", 17, [norm, *_LAST])
    model = onnx.load(path)
    model.graph.initializer.append(numpy_helper.from_array(np.ones(1, np.float32), "one"))
    onnx.save(model, path)
    code, said = _export(path, "-o", tmp_path / "plan")
    assert (code, said.startswith("error: own.onnx: expected an ONNX model")) == (2, True), said
    assert said.endswith(
        "in training, where it depends on the whole batch; export the ONNX file otherwise, in eval mode"
    )


def _export(*arguments: str | Path) -> tuple[int, str]:
    common = ["--sigma", "0.25", "--data", "digits:test[:20]", "--parity-draws", "400", "--precision", "fp32"]
    ended = CliRunner().invoke(export_command, [*map(str, arguments), *common])
    return ended.exit_code, ended.stderr.strip()


def _labels(plan: Path, rows: NDArray[np.float32]) -> NDArray[np.int32]:
    session = ort.InferenceSession(read_plan(plan).read_graph(0.25), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(["label"], {"pixels": rows})[0])


@pytest.mark.parametrize("opset", [13, 20])
@pytest.mark.parametrize("has_denoiser", [False, True])
def test_a_plan_votes_as_the_closed_form_says(tmp_path: Path, has_denoiser: bool, opset: int) -> None:
    classifier = _write(tmp_path / "classifier.onnx", _LINEAR, ["n", 10], opset=opset)
    denoiser = _write(tmp_path / "denoiser.onnx", (("Mul", ["in", "shrink"], "out"),), ["n", 1, 8, 8], opset=opset)
    extra = ["--denoiser", denoiser] if has_denoiser else []
    sees = ["--input-range", "-1", "1", "--mean", "0.1", "--std", "0.5"]
    code, said = _export(classifier, "-o", tmp_path / "plan", *sees, *extra)
    assert code == 0, said
    record = read_plan(tmp_path / "plan").record
    assert record.sources == (("denoiser.onnx, " if has_denoiser else "") + "classifier.onnx",)
    assert (record.purifier, record.classes) == ("onnx" if has_denoiser else "identity", 10)
    assert [parity.backend for parity in record.parity] == ["onnxruntime"]
    rows = np.random.default_rng(1).integers(-400, 656, (2000, 1, 8, 8)).astype(np.float32)
    clean = (rows.astype(np.float64) / 127.5 - 1) * (0.7 if has_denoiser else 1)
    logits = ((clean - 0.1) / 0.5).reshape(2000, 64) @ _WEIGHTS.astype(np.float64)
    assert np.mean(_labels(tmp_path / "plan", rows) == logits.argmax(axis=1)) >= 0.999


def test_a_row_with_a_logit_that_is_not_finite_has_no_label(tmp_path: Path) -> None:
    nodes = (("Sqrt", ["in"], "roots"), ("Flatten", ["roots"], "flat"), ("MatMul", ["flat", "weights"], "out"))
    rooted = _write(tmp_path / "rooted.onnx", nodes, ["n", 10])
    code, said = _export(rooted, "-o", tmp_path / "plan", "--input-range", "100", "101")  # noise never reaches 0
    assert code == 0, said
    rows = np.zeros((3, 1, 8, 8), np.float32)
    rows[1, 0, 4, 4], rows[2, 0, 0, 0] = -255 * 101, np.inf  # below 0 as the graph sees it; beyond all
    found = _labels(tmp_path / "plan", rows)
    assert found[0] >= 0
    assert found[1:].tolist() == [-1, -1]


@pytest.mark.parametrize(
    ("nodes", "out", "batch", "code", "words"),
    [
        (_LINEAR, ["n", 10], 4, 2, "expected a model for any batch, found one for 4 images"),
        ((("Flatten", ["in"], "out"),), ["n", 64], "n", 0, ""),
        ((("Identity", ["in"], "out"),), ["n", 1, 8, 8], "n", 2, r"expected FP32 logits [images, classes]"),
        ((*_FLAT, ("RandomNormalLike", ["flat"], "out")), ["n", 64], "n", 2, "draws at random"),
        (
            (("ReduceMean", ["in", "first_axis"], "all"), ("Sub", ["in", "all"], "less"), ("Flatten", ["less"], "out")),
            ["n", 64],
            "n",
            4,
            "no certificate is possible",
        ),
    ],
    ids=["fixed batch", "pixels as logits", "images", "random", "minds its neighbours"],
)
def test_what_no_plan_may_hold_is_refused_and_leaves_none(
    nodes: tuple[tuple[str, list[str], str], ...],
    out: list[int | str],
    batch: int | str,
    code: int,
    words: str,
    tmp_path: Path,
) -> None:
    ended, said = _export(_write(tmp_path / "own.onnx", nodes, out, batch=batch), "-o", tmp_path / "plan")
    assert (ended, words in said) == (code, True), said
    assert (tmp_path / "plan").exists() == (code == 0)


def test_files_that_are_no_classifier_are_named(tmp_path: Path) -> None:
    (tmp_path / "text.onnx").write_text("no model")
    linear = _write(tmp_path / "linear.onnx", _LINEAR, ["n", 10])
    for arguments, words in (
        ((tmp_path / "text.onnx",), "text.onnx: expected an ONNX model, found: "),
        ((tmp_path / "absent.onnx",), "absent.onnx: expected an ONNX model, found: "),
        ((linear, "--size", "16"), "expected no --size with an ONNX file"),
        ((linear, "--denoiser", linear), "a shape that is not fixed by the batch"),
    ):
        code, said = _export(arguments[0], "-o", tmp_path / "plan", *arguments[1:])
        assert (code, words in said) == (2, True), said
        assert not (tmp_path / "plan").exists()
    half = ["-o", tmp_path / "plan", "--sigma", "1", "--data", "digits:test[:20]"]  # FP16, if nothing else is said
    ended = CliRunner().invoke(export_command, [str(argument) for argument in (linear, *half)])
    assert (ended.exit_code, "an ONNX file is exported in FP32 as it is" in ended.stderr) == (2, True)
