"""benchmarks/certify.py with tiny sizes: its runs, how it fails, and that memory does not grow with n.

Whole comparisons, and their files, are what a dry run of benchmarks/gpu.sh goes through (`certify-vit`, `outside-vit`).
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from purecert.engine.bench.agreement import Draws
from purecert.engine.bench.measure import Task
from purecert.engine.plans.plan import GraphInput, Plan, read_plan
from purecert.engine.procedures.outcomes import Certificate
from purecert.engine.procedures.spec import SmoothingSpec
from purecert.engine.statistics.bounds import certified_radius, clopper_pearson_lower
from purecert.train.models.checkpoints import demo_model_path
from support.plans import linear_plan

_ROOT = Path(__file__).parents[2]
_BENCHMARKS = _ROOT / "benchmarks"
_SIGMA = 0.5


@pytest.fixture(autouse=True)
def _programs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(_BENCHMARKS))


def _certify(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(_BENCHMARKS / "certify.py"), *map(os.fspath, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def _work(n: int, images: int = 1, *, n_select: int = 100, batch: int = 256) -> Any:
    from certifying.work import Work

    spec = SmoothingSpec(mode="certify", sigma=_SIGMA, n_select=n_select, n_estimate=n)
    data = f"digits:test[:{images}]"
    return Work(spec=spec, data=data, data_dir=None, batch=batch, threads=1, probe_rows=64)


@pytest.fixture
def constant(tmp_path: Path) -> Plan:
    """Return a plan of digits whose network is a constant."""
    from certifying.constant_plan import write_constant_plan

    plan = linear_plan(tmp_path / "linear", np.ones(64, np.float32), 0.0, (1, 8, 8), sigma=_SIGMA)
    return write_constant_plan(plan, _SIGMA, tmp_path / "constant")


def test_a_constant_network_takes_the_place_of_any_and_its_rows_are_placed_as_the_networks(
    constant: Plan, tmp_path: Path
) -> None:
    from certifying.engine_side import HOST, Engine, certify_by_engine

    linear = read_plan(tmp_path / "linear")
    assert (constant.record.inputs, constant.record.classes) == (linear.record.inputs, linear.record.classes)
    found = certify_by_engine(Engine(backend=HOST, plan=constant.directory), _work(500, 2), 3, tmp_path / "run")
    assert json.loads((tmp_path / "run" / "run.json").read_bytes())["backend"]["placement"] == "row_invariant"
    assert found.votes.tolist() == [[500, 0, 0]] * 2
    assert found.selected.tolist() == [[100, 0, 0]] * 2
    p_lower = float(clopper_pearson_lower(500, 500, 1e-3))
    expected = float(certified_radius(_SIGMA, p_lower))
    for outcome in found.outcomes:
        assert isinstance(outcome, Certificate)
        assert outcome.radius == pytest.approx(expected, rel=1e-6)
        assert outcome.radius <= expected


def test_a_constant_network_has_the_inputs_of_a_purifier_that_is_random_itself() -> None:
    import onnx
    from certifying.constant_plan import constant_model

    pixels = GraphInput(name="pixels", shape=(3, 4, 4), dtype="float16")
    extra = GraphInput(name="noise_1", shape=(2, 3, 4, 4), dtype="float16")
    graph = onnx.load_from_string(constant_model((pixels, extra), 5)).graph
    assert [one.name for one in graph.input] == ["pixels", "noise_1"]


def test_a_command_that_fails_says_why_and_is_told_as_that(constant: Plan, tmp_path: Path) -> None:
    from certifying.engine_side import Engine, certify_by_engine

    from purecert.engine.errors import BackendError

    with pytest.raises(BackendError, match="certify ended with exit code 2; what it said is above"):
        certify_by_engine(Engine(backend="no-such", plan=constant.directory), _work(500), 0, tmp_path / "run")


@pytest.mark.slow
def test_peak_memory_of_a_run_does_not_grow_with_n(constant: Plan, tmp_path: Path) -> None:
    from certifying.engine_side import HOST, Engine
    from certifying.memory import measure_memory

    engine = Engine(backend=HOST, plan=constant.directory)
    growth = measure_memory(engine, _work(1000), (1_000, 2_000_000), 1, tmp_path)
    assert [size.n for size in growth.sizes] == [1_000, 2_000_000]
    assert growth.growth < 2 * 2**20  # about a byte a draw: even their labels alone would take 8 MB


@pytest.mark.slow
@pytest.mark.nightly
def test_the_fields_loop_draws_n0_and_n_rows_of_every_image_and_certifies_them(demo_plan: Path) -> None:
    from certifying.field_side import certify_by_field

    draws = Draws(images=np.zeros((1, 1, 8, 8), np.uint8), indices=np.zeros(1, np.int64), per_image=1)
    task = Task(plan=demo_plan, sigma=_SIGMA, draws=draws, seconds=1.0, threads=1, compares=False)
    work = _work(70, 2, n_select=30, batch=32)
    found = certify_by_field(task, str(demo_model_path()), "NCHW", work, 0)
    assert found.selected.shape == found.votes.shape == (2, 11)
    assert (found.selected.sum(axis=1).tolist(), found.votes.sum(axis=1).tolist()) == ([30, 30], [70, 70])
    assert 0 < found.loop_seconds < found.seconds
    again = certify_by_field(task, str(demo_model_path()), "NCHW", work, 0)
    assert again.votes.tolist() == found.votes.tolist()  # the seed fixes them
    other = certify_by_field(task, str(demo_model_path()), "NCHW", work, 1)
    assert other.votes.tolist() != found.votes.tolist()
    for outcome, votes in zip(found.outcomes, found.votes, strict=True):
        if isinstance(outcome, Certificate):
            assert outcome.p_lower <= clopper_pearson_lower(votes[outcome.predicted], 70, 1e-3)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["pairs", "--engine", "onnxruntime"], "expected --engine BACKEND=PLAN, got 'onnxruntime'"),
        pytest.param(["pairs", "--n", "5"], r"expected n > log2(1 / alpha)", marks=pytest.mark.nightly),
        pytest.param(["outside", "--plan", "no-such-plan"], "no-such-plan", marks=pytest.mark.nightly),
    ],
)
def test_what_cannot_be_measured_is_refused_in_one_line(arguments: list[str], words: str, tmp_path: Path) -> None:
    done = _certify(*arguments, "--work", tmp_path)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ")
    assert words in line


@pytest.mark.slow
@pytest.mark.nightly
def test_plans_of_another_model_are_refused(constant: Plan, tmp_path: Path) -> None:
    done = _certify("pairs", "--engine", f"onnxruntime={constant.directory}", "--work", tmp_path / "work")
    assert done.returncode == 2
    assert "no model file: name the one that the plan was exported from" in done.stderr
