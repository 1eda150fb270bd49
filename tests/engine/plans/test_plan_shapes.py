"""Plans unlike the demo's: many classes, large images, a purifier that draws noise of its own."""

import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper

from purecert.engine.noise.rows import fill_rows
from purecert.engine.noise.table import extra_noise, smoothing_noise
from purecert.engine.plans.plan import Plan
from purecert.engine.procedures.spec import SmoothingSpec
from support.commands import engine
from support.plans import LABEL_CONSTANTS, label_nodes, write_test_plan
from support.runs import certify_images

_SPEC = SmoothingSpec(mode="certify", sigma=0.5, n_select=50, n_estimate=500, alpha=1e-3)


def _save(path: Path, images: NDArray[np.uint8], labels: list[int]) -> str:
    np.savez(path, x=images, y=np.array(labels))
    return f"npz:{path}"


def _run_all_commands(plan: Path, data: str, tmp_path: Path) -> list[dict[str, object]]:
    """Certify, resume (nothing is left to do), verify every image, report; return the rows."""
    run = tmp_path / "run"
    arguments = ["--plan", plan, "--data", data, "--sigma", "0.5", "--n0", "50", "--n", "500", "--out", run]
    arguments += ["--batch", "64", "--probe-rows", "64"]
    engine("certify", *arguments).expect(0)
    engine("certify", *arguments, "--resume").expect(0)
    verified = engine("verify", run, "--share", "1").expect(0)
    assert "at least 0 of" in verified.out
    engine("report", run).expect(0)
    return [json.loads(line) for line in (run / "certificates.jsonl").read_text().splitlines()]


@pytest.mark.slow
def test_a_thousand_classes(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    matrix = generator.normal(size=(12, 1000)).astype(np.float32)
    nodes = [
        helper.make_node("Flatten", ["pixels"], ["flat"]),
        helper.make_node("MatMul", ["flat", "matrix"], ["logits"]),
        *label_nodes(),
    ]
    write_test_plan(tmp_path / "plan", nodes, {"matrix": matrix, **LABEL_CONSTANTS}, (3, 2, 2), classes=1000)
    images = generator.integers(0, 256, (3, 3, 2, 2), dtype=np.uint8)
    rows = _run_all_commands(tmp_path / "plan", _save(tmp_path / "x.npz", images, [0, 999, 5]), tmp_path)
    assert [row["label"] for row in rows] == [0, 999, 5]
    assert max(int(key) for row in rows for phase in row["counts"] for key in phase) > 10  # type: ignore[attr-defined]  # parsed JSON


@pytest.mark.slow
@pytest.mark.nightly
def test_an_image_of_224_by_224(tmp_path: Path) -> None:
    """Brighter than grey or not: the mean of 150,528 noisy pixels is settled for any image off grey."""
    nodes = [
        helper.make_node("ReduceMean", ["pixels", "pixel_axes"], ["mean"], keepdims=0),
        helper.make_node("Sub", ["mean", "grey"], ["contrast"]),
        helper.make_node("Neg", ["contrast"], ["minus"]),
        helper.make_node("Unsqueeze", ["contrast", "class_axis"], ["bright"]),
        helper.make_node("Unsqueeze", ["minus", "class_axis"], ["dark"]),
        helper.make_node("Concat", ["dark", "bright"], ["logits"], axis=1),
        *label_nodes(),
    ]
    axes = {"pixel_axes": np.array([1, 2, 3], np.int64), "grey": np.array(127.5, np.float32)}
    write_test_plan(tmp_path / "plan", nodes, {**axes, **LABEL_CONSTANTS}, (3, 224, 224))
    images = np.stack([np.full((3, 224, 224), value, np.uint8) for value in (120, 135)])
    rows = _run_all_commands(tmp_path / "plan", _save(tmp_path / "x.npz", images, [0, 1]), tmp_path)
    assert [(row["predicted"], row["counts"]) for row in rows] == [
        (0, [{"0": 50}, {"0": 500}]),
        (1, [{"1": 50}, {"1": 500}]),
    ]


@pytest.fixture
def random_plan(tmp_path: Path) -> Plan:
    """Return a plan that adds noise of its own: label 1 where the sum of pixels + noise_1 is positive."""
    nodes = [
        helper.make_node("Squeeze", ["noise_1", "class_axis"], ["own"]),
        helper.make_node("Add", ["pixels", "own"], ["noisier"]),
        helper.make_node("ReduceSum", ["noisier", "pixel_axes"], ["sum"], keepdims=0),
        helper.make_node("Greater", ["sum", "limit"], ["above"]),
        helper.make_node("Cast", ["above"], ["label"], to=TensorProto.INT32),
    ]
    constants = {
        "class_axis": np.array([1], np.int64),
        "pixel_axes": np.array([1, 2, 3], np.int64),
        "limit": np.array(700.5, np.float32),
    }
    return write_test_plan(tmp_path / "plan", nodes, constants, (1, 2, 3), noise_inputs=1, logits=None)


@pytest.mark.slow
def test_a_purifier_with_noise_of_its_own_runs_through_the_whole_path(random_plan: Plan, tmp_path: Path) -> None:
    images = np.random.default_rng(1).integers(0, 256, (4, 1, 2, 3), dtype=np.uint8)
    rows = _run_all_commands(random_plan.directory, _save(tmp_path / "x.npz", images, [0, 1, 0, 1]), tmp_path)
    assert len(rows) == 4
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert record["noise_elements"] == [6, 6]
    # Labels say little about rounding that depends on the place in the batch.
    assert (record["backend"]["probed"], record["backend"]["placement"]) == ("labels", "static")


@pytest.mark.slow
@pytest.mark.parametrize("batch", [pytest.param(1, marks=pytest.mark.nightly), 7, 64])
def test_its_own_noise_has_its_own_addresses(random_plan: Plan, batch: int) -> None:
    images = np.random.default_rng(1).integers(0, 256, (3, 1, 2, 3), dtype=np.uint8)
    ends = certify_images(random_plan, images, _SPEC, seed=77, batch=batch, order=[2, 0, 1])
    for index, end in enumerate(ends):
        address = np.array([[0, index, 1, 0, _SPEC.n_estimate]], np.int64)
        pixels, own = (np.zeros((_SPEC.n_estimate, 6), np.int16) for _ in range(2))
        fill_rows(smoothing_noise(0.5), pixels, address, seed=77, images=images[index : index + 1].reshape(1, 6))
        fill_rows(extra_noise(), own, address, seed=77, purpose=1)
        above = int(((pixels.astype(int) + own).sum(axis=1) > 700.5).sum())
        assert end.counts[1].tolist() == [_SPEC.n_estimate - above, above, 0]
