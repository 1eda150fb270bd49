"""engine-bench, as a user meets it."""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from purecert.engine.plans.plan import read_plan
from purecert.export.bench.command import bench_command
from purecert.train.models.checkpoints import save_model
from support.plans import linear_plan
from support.small_models import small_model

pytestmark = pytest.mark.slow  # whole benchmarks

_SHORT = ("--seconds", "0.2", "--batch", "64", "--threads", "1", "--probe-rows", "64", "--agreement-draws", "300")
_FILES = ["bench.json", "bench.md", "bench.png", "bench.svg"]


def _bench(*arguments: object) -> Result:
    return CliRunner().invoke(bench_command, [str(argument) for argument in arguments])


def _fails(arguments: Sequence[object], code: int) -> str:
    """Return the one line that the command ends with."""
    result = _bench(*arguments)
    assert result.exit_code == code, result.output
    last = result.stderr.splitlines()[-1]
    assert last.startswith("error: ")
    return last


@pytest.fixture
def foreign_plan(tmp_path: Path) -> Path:
    """Return a plan of digits that no model file goes with, and that has no exported program."""
    linear_plan(tmp_path / "plan", np.arange(64, dtype=np.float32), 1000.5, (1, 8, 8))
    return tmp_path / "plan"


def _named(rows: Sequence[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {f"{row['row']['name']} {row['row']['variant']}".strip(): row for row in rows}


@pytest.mark.slow
@pytest.mark.nightly
def test_a_short_run_on_the_demo_is_complete_and_invalid(demo_plan_fp16: Path, tmp_path: Path) -> None:
    backends = ["--backend", "onnxruntime", "--backend", "torch"]
    result = _bench("--plan", demo_plan_fp16, *_SHORT, *backends, "--out", tmp_path / "out", "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    plan = read_plan(demo_plan_fp16)
    assert (found["plan"], found["precision"], found["options"]["sigma"]) == (plan.digest, "fp16", 0.5)
    # The demo's convolutions and its last layer, as PyTorch's counter has them (tests/export/graph/test_flops.py).
    assert found["flops_per_row"] > 1e6
    rows = _named(found["rows"])
    assert list(rows) == ["eager NCHW", "eager channels-last", "onnxruntime", "torch"]
    precisions = [row["executed_precision"] for row in rows.values()]
    assert precisions == ["fp32", "fp32", "fp32", "fp16"]
    for row in rows.values():
        assert row["verdict"] == "INVALID"
        assert "measured under 10 s" in row["reasons"]
        assert "agreement was checked on 300 draws, under 2000" in row["reasons"]
        assert row["agreement"]["draws"] == 300
        assert row["agreement"]["same"] >= 297  # as the gate has it, with room for chance
        latency = row["latency"]
        assert 0 < latency["least_ms"] <= latency["p50_ms"] <= latency["p90_ms"] <= latency["p99_ms"]
        assert latency["batches"] >= 3
        assert row["samples_per_second"] == row["throughput_rows"] / row["throughput_seconds"]
        assert row["seconds_per_certificate"] == pytest.approx(100_100 / row["samples_per_second"])
        assert row["speed"]["flops_per_second"] == found["flops_per_row"] * row["samples_per_second"]
        assert row["speed"]["matrix_flops_per_second"] > 0
        assert row["host_memory_peak"] > 2**24
        assert row["device_memory_peak"] is None
        assert row["ratios"] == []  # to an INVALID baseline there are none
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == _FILES
    assert json.loads((tmp_path / "out" / "bench.json").read_text()) == found
    for place in (str(tmp_path), str(demo_plan_fp16), sys.prefix):  # nothing that names this machine's folders
        assert place not in result.stdout


@pytest.mark.slow
@pytest.mark.nightly
def test_without_a_model_every_row_says_so_and_an_unusable_backend_is_a_row(foreign_plan: Path) -> None:
    result = _bench("--plan", foreign_plan, *_SHORT, "--backend", "onnxruntime", "--backend", "torch")
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    cells = {line.split("|")[1].strip(): line for line in lines if line.startswith("| ")}
    assert list(cells)[2:] == ["onnxruntime", "torch"]  # beneath the headings and their rule
    assert cells["onnxruntime"].endswith(" INVALID |")
    assert cells["torch"].endswith("UNUSABLE |")
    absent = "no model file: name the one that the plan was exported from with --model"
    assert f"- no eager FP32 to compare with: {absent}" in lines
    (invalid,) = [line for line in lines if line.startswith("- onnxruntime, batch 64: INVALID")]
    assert f"agreement with eager FP32 was not checked: {absent}" in invalid
    (unusable,) = [line for line in lines if line.startswith("- torch, batch 64: UNUSABLE")]
    assert "plan/cache/sigma-0.5.pt2: no such cached file" in unusable
    assert str(foreign_plan) not in result.stdout


@pytest.mark.nightly
def test_no_usable_backend_ends_with_3_after_the_table(foreign_plan: Path, tmp_path: Path) -> None:
    arguments = ["--plan", foreign_plan, *_SHORT, "--backend", "torch", "--out", tmp_path / "out"]
    assert "expected a backend that can run the plan here, found none" in _fails(arguments, 3)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == _FILES


@pytest.mark.nightly
def test_another_model_is_refused(demo_plan_fp16: Path, tmp_path: Path) -> None:
    save_model(small_model("identity"), tmp_path / "model.pt")
    arguments = ["--plan", demo_plan_fp16, *_SHORT, "--model", tmp_path / "model.pt", "--out", tmp_path / "out"]
    line = _fails(arguments, 2)
    assert "model.pt: expected the model that the plan was exported from, SHA-256 " in line
    assert read_plan(demo_plan_fp16).record.model_sha256 in line
    assert not (tmp_path / "out").exists()


def test_the_demo_is_refused_for_a_plan_that_is_not_its_own(foreign_plan: Path) -> None:
    line = _fails(["--plan", foreign_plan, *_SHORT, "--model", "demo"], 2)
    assert "demo: expected the model that the plan was exported from, SHA-256 (none is recorded), found " in line


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--sigma", "0.3"], "fused for sigma 0.5"),
        (["--backend", "tpu"], "expected a backend out of onnxruntime, openvino, torch"),
        (["--batch", "0"], "batch of at least 1"),
        (["--threads", "-1"], "threads of at least 1"),
        (["--seconds", "0"], "--seconds > 0"),
        (["--seconds", "nan"], "--seconds > 0"),
        (["--agreement-draws", "0"], "--agreement-draws of at least 1"),
        (["--probe-rows", "0"], "probe_rows of at least 1"),
        (["--data", "imagenet:test"], "imagenet"),
        (["--out", __file__], "is a file; choose another name"),
    ],
)
def test_bad_input_ends_with_2_and_one_line(foreign_plan: Path, options: Sequence[str], message: str) -> None:
    assert message in _fails(["--plan", foreign_plan, *options], 2)


def test_images_are_asked_for_where_the_digits_do_not_fit(tmp_path: Path) -> None:
    linear_plan(tmp_path / "plan", np.arange(12, dtype=np.float32), 10.5, (3, 2, 2))
    assert "expected --data, since the plan's images are of shape (3, 2, 2)" in _fails(["--plan", tmp_path / "plan"], 2)
    arguments = ["--plan", tmp_path / "plan", "--data", "digits:test"]
    assert "expected images of shape (3, 2, 2) (the plan's), digits:test holds (1, 8, 8)" in _fails(arguments, 2)


def test_a_benchmark_that_is_there_is_kept(foreign_plan: Path, tmp_path: Path) -> None:
    (tmp_path / "bench.md").write_text("kept")
    assert "a benchmark is there" in _fails(["--plan", foreign_plan, "--out", tmp_path], 2)
    assert (tmp_path / "bench.md").read_text() == "kept"


def test_help_loads_no_heavy_module() -> None:
    code = (
        "import sys; from purecert.export.bench.command import bench_command\n"
        "try: bench_command(['--help'])\n"
        "except SystemExit: print({'torch', 'onnx', 'numpy', 'scipy'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "--agreement-draws" in done.stdout
    assert done.stdout.splitlines()[-1] == "set()"
