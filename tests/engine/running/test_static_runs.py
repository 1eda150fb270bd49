"""Where rows have fixed places: whole batches of draws, recorded, resumed with the n first asked for, and verified."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import purecert
from purecert.engine.errors import InputError
from purecert.engine.files.canonical import sha256_hex
from purecert.engine.images.datasets import load_dataset
from purecert.engine.plans.plan import Plan, write_plan
from purecert.engine.procedures.placement import misfit
from purecert.engine.procedures.spec import SmoothingSpec, StopSpec
from purecert.engine.records.run import read_run
from purecert.engine.verification.verify import verify_run
from support.plans import linear_plan

_SHAPE = (1, 2, 3)
_WEIGHT = np.array([3, -2, 5, 1, -4, 2], np.float32)
_IMAGES = np.random.default_rng(0).integers(0, 256, (4, *_SHAPE), dtype=np.uint8)
_LABELS = np.array([0, 1, 1, 0])
_ASKED = {"sigma": 0.25, "n": 500, "n0": 50, "batch": 64, "threads": 1, "seed": 5, "labels": _LABELS}
_RADII = StopSpec(rule="radii", radii=(0.0, 0.25), alpha_final=5e-4)


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    """Return a linear classifier that names no logits, so that placement is static."""
    whole = linear_plan(tmp_path_factory.mktemp("static") / "plan", _WEIGHT, 300.5, _SHAPE, sigma=0.25)
    record = replace(whole.record, logits=None)
    return write_plan(whole.directory, record)


def _lines(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "certificates.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("mode", ["fixed", "radii", "tolerance", "predict", "early"])
def test_draws_and_looks_fall_on_whole_batches_and_the_run_verifies_and_resumes(
    plan: Plan, tmp_path: Path, caplog: pytest.LogCaptureFixture, mode: str
) -> None:
    stops = {"radii": _RADII, "tolerance": StopSpec(rule="tolerance", tolerance=0.2)}
    asked = _ASKED | ({"stop": stops[mode]} if mode in stops else {}) | ({"early": True} if mode == "early" else {})
    answer: Any = purecert.predict if mode in ("predict", "early") else purecert.certify
    answer(plan, _IMAGES, out=tmp_path / "run", **asked)
    run = read_run(tmp_path / "run")
    spec = run.record.spec
    assert (spec.step, spec.n_estimate, run.record.backend.placement) == (64, 512, "static")
    assert spec.n_select == (100 if not spec.selects and mode == "predict" else 64) or not spec.selects
    assert all(sum(phase.values()) % 64 == 0 for line in run.lines for phase in line.counts)
    assert "draws come in whole batches of 64: n = 512" in caplog.text
    assert misfit(spec, is_static=True, batch=64) is None
    assert "multiples of 1 under row-invariant" in str(misfit(spec, is_static=False, batch=64))
    data = load_dataset(f"npz:{tmp_path / 'run' / 'images.npz'}", None)
    assert verify_run(run, plan, data, share=1.0, threads=1).problems == ()
    whole = (tmp_path / "run" / "certificates.jsonl").read_bytes()
    (tmp_path / "run" / "certificates.jsonl").write_bytes(b"".join(whole.splitlines(keepends=True)[:2]))
    answer(plan, _IMAGES, out=tmp_path / "run", resume=True, **asked)
    assert (tmp_path / "run" / "certificates.jsonl").read_bytes() == whole
    assert json.loads((tmp_path / "run" / "invocation.json").read_text())["row_check"] in ("run", "cached")


def test_an_alpha_beyond_a_quarter_is_refused_before_anything_is_written(plan: Plan, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"alpha of at most 0.25 where placement is static"):
        purecert.certify(plan, _IMAGES, out=tmp_path / "run", **_ASKED | {"alpha": 0.3})
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("changes", [{"n_estimate": 500}, {"n_select": 50}, {"alpha": 0.3}, {"step": 0}])
def test_a_plan_of_whole_batches_has_whole_batches(changes: dict[str, Any]) -> None:
    fits = {"mode": "certify", "sigma": 0.5, "n_select": 64, "n_estimate": 512, "step": 64}
    assert SmoothingSpec(**fits).step == 64
    with pytest.raises(InputError):
        SmoothingSpec(**fits | changes)


def test_an_older_static_run_goes_on_only_where_its_looks_are_sound(plan: Plan, tmp_path: Path) -> None:
    asked = _ASKED | {"n": 512, "n0": 64}
    for mode, extra in (("fixed", {}), ("radii", {"stop": _RADII})):
        out = tmp_path / mode
        purecert.certify(plan, _IMAGES, out=out, **asked | extra)
        record = json.loads((out / "run.json").read_text()) | {"schema": "purecert.run/4"}
        del record["spec"]["step"], record["data"]["slice"], record["spec"]["extension"], record["data"]["earlier"]
        for later in ("price", "tables", "least_chance") if record["spec"]["stop"] else ():
            del record["spec"]["stop"][later]
        (out / "run.json").write_text(json.dumps(record))
        (out / "certificates.jsonl").write_bytes(b"")
    purecert.certify(plan, _IMAGES, out=tmp_path / "fixed", resume=True, **asked)
    assert len(_lines(tmp_path / "fixed")) == len(_IMAGES)
    assert read_run(tmp_path / "fixed").digest == sha256_hex((tmp_path / "fixed" / "run.json").read_bytes())
    assert not any("not covered" in mark for mark in purecert.read_run(tmp_path / "fixed").marks)
    assert any("not covered: expected draws and looks" in mark for mark in purecert.read_run(tmp_path / "radii").marks)
    data = load_dataset(f"npz:{tmp_path / 'radii' / 'images.npz'}", None)
    verified = verify_run(read_run(tmp_path / "radii"), plan, data, share=0.0, threads=1)
    assert any("so its bounds do not hold" in problem for problem in verified.problems)
    with pytest.raises(InputError, match="looked at draws inside a batch"):
        purecert.certify(plan, _IMAGES, out=tmp_path / "radii", resume=True, **asked | {"stop": _RADII})
