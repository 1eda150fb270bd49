"""The doctor's own network, against the onnx package's evaluator, which shares no code with it."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from purecert.engine.doctor.probes import small_plan
from purecert.engine.doctor.probes.small_network import onnx_model
from purecert.engine.noise.rows import draw
from purecert.engine.plans.plan import read_plan

onnx = pytest.importorskip("onnx", reason="the onnx package is not installed", exc_type=ImportError)


def _drawn() -> list[NDArray[np.int64]]:
    """Return the noisy rows of each segment, drawn one by one."""
    rows = []
    for segment in small_plan.SEGMENTS:
        image = small_plan.IMAGES[segment.slot].astype(np.int64)
        draws = range(segment.first, segment.first + segment.count)
        address = {"seed": small_plan.SEED, "image": segment.slot, "phase": segment.phase, "count": image.size}
        noise = [draw(small_plan.SIGMA, draw=number, **address).reshape(image.shape) for number in draws]
        rows.append(image + np.stack(noise))
    return rows


def _evaluated(rows: NDArray[np.int64]) -> tuple[NDArray[np.int32], NDArray[np.float16]]:
    from onnx.reference import ReferenceEvaluator

    model = onnx.load_from_string(onnx_model())
    model.graph.output.append(onnx.helper.make_tensor_value_info("logits", onnx.TensorProto.FLOAT16, ["batch", 3]))
    label, logits = ReferenceEvaluator(model).run(None, {"pixels": rows.astype(np.float16)})
    return label, logits


def test_onnx_takes_the_model_for_a_whole_one() -> None:
    model = onnx.load_from_string(onnx_model())
    onnx.checker.check_model(model, full_check=True)
    assert [value.name for value in (*model.graph.input, *model.graph.output)] == ["pixels", "label"]


def test_the_logits_are_what_onnx_computes_to_the_last_bit() -> None:
    for rows in _drawn():
        exact = small_plan.exact_logits_64ths(rows) / 64
        assert np.array_equal(exact, exact.astype(np.float16)), "FP16 must hold them"
        label, logits = _evaluated(rows)
        np.testing.assert_array_equal(logits, exact)
        np.testing.assert_array_equal(label, exact.argmax(axis=1))


def test_no_two_logits_of_a_row_are_equal() -> None:
    for rows in _drawn():
        ordered = np.sort(small_plan.exact_logits_64ths(rows), axis=1)
        assert (np.diff(ordered, axis=1) > 0).all()


def test_the_counts_are_those_of_the_labels_and_name_every_class() -> None:
    counts = small_plan.exact_counts()
    for row, rows in zip(counts, _drawn(), strict=True):
        np.testing.assert_array_equal(row, np.bincount(_evaluated(rows)[0], minlength=4))
    assert (counts[:, :3].sum(axis=0) > 2).all(), "a runtime that always says one class must be found out"
    assert ((counts[:, :3] > 0).sum(axis=1) > 1).all()


def test_the_plan_is_one_that_can_be_read(tmp_path: Path) -> None:
    written = small_plan.write_small_plan(tmp_path / "new" / "plan")
    plan = read_plan(written.directory)
    assert plan == written
    assert plan.read_graph(small_plan.SIGMA) == onnx_model()


@pytest.mark.slow
@pytest.mark.parametrize("capability", ["sm_80", "sm_89", "sm_120"])
def test_tensorrt_rtx_builds_an_engine_of_it(capability: str, tmp_path: Path) -> None:
    """Its builder needs no GPU; the doctor's trial on a GPU begins with the same call."""
    pytest.importorskip("tensorrt_rtx_bindings", reason="TensorRT-RTX is not installed", exc_type=ImportError)
    from purecert.engine.backends.tensorrt.build import BuildOptions, build_engine
    from purecert.engine.backends.tensorrt.target import any_gpu

    plan, model = small_plan.write_small_plan(tmp_path / "plan"), onnx_model()
    built = build_engine("tensorrt-rtx", model, plan.record, small_plan.BATCH, any_gpu(capability), BuildOptions())
    assert len(built.content) > 0
