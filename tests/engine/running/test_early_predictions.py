"""Early predictions that give up: fewer draws than before, and a run of before goes on as it began."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import purecert
from purecert.engine.errors import InputError
from purecert.engine.images.datasets import load_dataset
from purecert.engine.plans.plan import Plan
from purecert.engine.records.lines import draws_of
from purecert.engine.records.run import read_run
from purecert.engine.verification.verify import verify_run
from support.commands import engine
from support.plans import linear_plan

_SHAPE = (1, 2, 3)
_WEIGHT = np.array([3, -2, 5, 1, -4, 2], np.float32)
# One far from the border between the classes, which is at 300.5 grey levels, and three that are close to it.
_IMAGES = np.array([[220] * 6, *([80, 100, 96, 60, 120, last] for last in (99, 100, 101))])
_ASKED = {"sigma": 0.25, "n": 800, "early": True, "batch": 64, "threads": 1, "seed": 5, "labels": [1, 1, 1, 1]}


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    return linear_plan(tmp_path_factory.mktemp("linear") / "plan", _WEIGHT, 300.5, _SHAPE, sigma=0.25)


def _predict(plan: Plan, out: Path, **changes: Any) -> list[int]:
    """Return the draws of each image."""
    images = _IMAGES.astype(np.uint8).reshape(-1, *_SHAPE)
    purecert.predict(plan, images, out=out, **_ASKED | changes)
    return [draws_of(line) for line in read_run(out).lines]


def test_a_run_of_schema_6_goes_on_without_giving_up_and_both_verify(plan: Plan, tmp_path: Path) -> None:
    today = _predict(plan, tmp_path / "today")
    _predict(plan, tmp_path / "older")
    record = json.loads((tmp_path / "older" / "run.json").read_text()) | {"schema": "purecert.run/6"}
    assert record["spec"]["stop"].pop("least_chance") == 1e-3
    del record["spec"]["extension"], record["data"]["earlier"]
    (tmp_path / "older" / "run.json").write_text(json.dumps(record))
    (tmp_path / "older" / "certificates.jsonl").write_bytes(b"")
    with pytest.raises(InputError, match=r"begun with spec.stop.least_chance = None, asked to resume with 0.01"):
        _predict(plan, tmp_path / "older", resume=True, least_chance=0.01)
    older = _predict(plan, tmp_path / "older", resume=True)
    assert older[1:] == [900] * 3  # 100 of them are of the selection
    assert max(today) < 900
    for name in ("today", "older"):
        run = read_run(tmp_path / name)
        data = load_dataset(f"npz:{tmp_path / name / 'images.npz'}", None)
        found = verify_run(run, plan, data, share=1.0, threads=1)
        assert (found.problems, found.exact) == ((), True)


def test_a_least_chance_is_a_part_of_early_predictions(plan: Plan, tmp_path: Path) -> None:
    arguments = ["--plan", plan.directory, "--data", "digits:test[:1]", "--sigma", "0.25", "--out", tmp_path / "run"]
    said = engine("predict", *arguments, "--least-chance", "0.01").expect(2).err
    assert "--least-chance belongs to --early; leave it out, or ask for --early" in said
    said = engine("predict", *arguments, "--early", "--least-chance", "0.5").expect(2).err
    assert "expected a least chance in (0, 0.5)" in said
    assert not (tmp_path / "run").exists()
