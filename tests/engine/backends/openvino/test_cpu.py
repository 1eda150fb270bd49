"""OpenVINO classifies as ONNX Runtime does, in FP32 alone, and no row that is not finite gets a vote."""

from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import helper

from purecert.engine.backends.base import Backend, BackendOptions, Segment
from purecert.engine.backends.opening import open_backend
from purecert.engine.errors import BackendError
from purecert.engine.images.datasets import load_dataset
from purecert.engine.plans.plan import Plan, read_plan
from support.commands import engine
from support.plans import LABEL_CONSTANTS, label_nodes, write_test_plan

cpu = pytest.importorskip(
    "purecert.engine.backends.openvino.cpu",
    reason="OpenVINO is not installed: pip install '.[openvino]'",
    exc_type=ImportError,
)

_SIGMA, _BATCH = 0.5, 32
_DIGITS = load_dataset("digits:test[:8]")
_SEGMENTS = [Segment(slot, 1, 7 * slot, 90) for slot in range(8)]


def _open(plan: Plan, name: str) -> Backend:
    options = BackendOptions(name=name, batch=_BATCH, threads=1, probe_rows=2 * _BATCH)
    return open_backend(plan, _SIGMA, 3, options, _DIGITS.images, _DIGITS.indices)


def _counts(plan: Plan, name: str) -> NDArray[np.int64]:
    with closing(_open(plan, name)) as backend:
        for slot in range(8):
            backend.place(slot, int(_DIGITS.indices[slot]), _DIGITS.images[slot])
        return np.concatenate([backend.submit([segment]).result() for segment in _SEGMENTS])


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_votes_are_those_of_onnx_runtime(precision: str, demo_plan: Path, demo_plan_fp16: Path) -> None:
    plan = read_plan(demo_plan if precision == "fp32" else demo_plan_fp16)
    ours, theirs = _counts(plan, "openvino"), _counts(plan, "onnxruntime")
    assert ours.sum() == theirs.sum() == 720
    assert np.abs(ours - theirs).sum() <= (0 if precision == "fp32" else 2 * 0.005 * 720)  # the gate's limit for half


def test_it_says_what_it_computed_in_and_that_rows_are_alone(demo_plan_fp16: Path) -> None:
    with closing(_open(read_plan(demo_plan_fp16), "openvino")) as backend:
        info = backend.info
    assert (info.executed_precision, info.placement, info.probed) == ("fp32", "row_invariant", "logits")
    assert list(info.versions) == ["openvino"]


def _of_logits(directory: Path, *nodes: Any, logits: str | None = "logits") -> cpu.OpenVinoGraph:
    """Return the graph whose logits are made of its pixels, [batch, 1, 1, 3], by ``nodes``."""
    flat = helper.make_node("Flatten", ["pixels"], ["flat" if nodes else "logits"])
    plan = write_test_plan(
        directory, [flat, *nodes, *label_nodes()], LABEL_CONSTANTS, (1, 1, 3), classes=3, logits=logits
    )
    return cpu.OpenVinoGraph(plan, _SIGMA, 6, 1)


def test_rows_that_are_not_finite_get_no_vote_and_ties_go_to_the_lowest_class(tmp_path: Path) -> None:
    graph = _of_logits(tmp_path)
    inf, nan = np.inf, np.nan
    rows = [(0, 1, 1), (2, 2, 2), (0, inf, 0), (-inf, 0, 1), (nan, 1, 0), (1e38, -1e38, 0)]
    graph.inputs[0][:] = np.array(rows, np.float32)[:, None, None]
    assert graph.labels().tolist() == [1, 0, -1, -1, -1, 0]
    logits = graph.logits()
    assert logits is not None
    assert np.array_equal(logits, np.array(rows, np.float32), equal_nan=True)
    graph.close()


def test_logits_that_overflow_inside_get_no_vote(tmp_path: Path) -> None:
    graph = _of_logits(tmp_path, helper.make_node("Exp", ["flat"], ["logits"]))
    graph.inputs[0][:] = np.array([(0, 1, 2), (0, 100, 2), (200, 0, 0), (1, 0, 0), (-1, 0, 3), (89, 90, 91)])[
        :, None, None
    ]
    assert graph.labels().tolist() == [2, -1, -1, 0, 2, -1]


def test_a_plan_without_logits_has_none(tmp_path: Path) -> None:
    assert _of_logits(tmp_path, logits=None).logits() is None


def test_what_the_runtime_refuses_is_told_in_one_line(demo_plan: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(cpu._SETTINGS, "EXECUTION_MODE_HINT", "nonsense")
    with pytest.raises(BackendError, match=r"OpenVINO 20\S+ cannot load the graph: .*nonsense") as caught:
        cpu.OpenVinoGraph(read_plan(demo_plan), _SIGMA, 8, 1)
    assert str(caught.value).isprintable()


def test_a_run_is_made_and_verified(demo_plan: Path, tmp_path: Path) -> None:
    numbers = ["--data", "digits:test[:4]", "--sigma", "0.5", "--n", "300", "--n0", "20", "--probe-rows", "64"]
    run = tmp_path / "run"
    engine("certify", "--plan", demo_plan, *numbers, "--backend", "openvino", "--seed", "3", "--out", run).expect(0)
    said = engine("verify", run, "--share", "1").expect(0).out
    assert "verified: 4 images" in said
    assert "not gated" not in engine("report", run).expect(0).out  # the plan was exported with OpenVINO installed
