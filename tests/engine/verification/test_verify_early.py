"""A verification of a run that stopped early finds votes that were never drawn."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from purecert.engine.procedures.certify import certificate
from purecert.engine.procedures.drawing import top_class
from purecert.engine.procedures.outcomes import Certificate
from purecert.engine.records.lines import dense_counts
from purecert.engine.records.run import read_run
from support.commands import engine
from support.forgery import lines_of, reseal, seal
from support.verifying import verify

pytestmark = pytest.mark.slow  # whole runs

_N = 2_000
_ELSEWHERE = {"hardware": "x86_64 Another"}


@pytest.fixture(scope="module")
def finished(demo_plan: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("early") / "run"
    data = ["--data", "digits:test[:8]", "--sigma", "0.5", "--n", str(_N), "--threads", "1", "--probe-rows", "256"]
    engine("certify", "--plan", demo_plan, "--out", run, *data, "--mode", "tolerance", "--tolerance", "0.5").expect(0)
    return run


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    shutil.copytree(finished, tmp_path / "run")
    return tmp_path / "run"


def _with_invented_votes(run: Path) -> list[dict[str, Any]]:
    """Return the lines, each filled up to n with votes for its class, and what these would prove."""
    record = read_run(run).record
    forged = []
    for row in lines_of(run):
        top = str(top_class(dense_counts(row["counts"][0], record.classes)))
        estimated = dict(row["counts"][1])
        estimated[top] = estimated.get(top, 0) + _N - sum(estimated.values())
        outcome = certificate(record.spec, record.tv, int(top), dense_counts(estimated, record.classes))
        if isinstance(outcome, Certificate):
            claim = {"predicted": int(top), "p_lower": outcome.p_lower, "radius": outcome.radius}
            row = row | claim | {"outcome": "certified", "counts": [row["counts"][0], estimated]}
        forged.append(row)
    return forged


@pytest.mark.parametrize("hardware", [{}, pytest.param(_ELSEWHERE, marks=pytest.mark.nightly)])
def test_votes_that_were_never_drawn_are_found(run: Path, hardware: dict[str, str]) -> None:
    reseal(run, _in_order(_with_invented_votes(run)), backend=hardware)
    said = verify(run, "--share", "1").expect(4).out
    assert "replayed labels differ" in said or "since all agree, found" in said


@pytest.mark.parametrize("hardware", [{}, pytest.param(_ELSEWHERE, marks=pytest.mark.nightly)])
def test_an_honest_run_is_verified_on_its_own_engine_and_never_on_another(run: Path, hardware: dict[str, str]) -> None:
    reseal(run, _in_order(lines_of(run)), backend=hardware)
    said = verify(run, "--share", "1").expect(6 if hardware else 0).out
    assert "at least 0 of" in said
    assert ("on another engine" in said) == bool(hardware)
    assert ("verified: 8 images" in said) != bool(hardware)
    verify(run, "--share", "1", "--strict").expect(4 if hardware else 0)


def test_another_number_of_looks_is_found(run: Path) -> None:
    first, *others = lines_of(run)
    seal(run, [first | {"looks": first["looks"] - 1}, *others])
    assert "its procedure looked" in verify(run, "--share", "1").expect(4).out


def test_radii_out_of_reach_are_refused_before_a_finished_run_is_replaced(run: Path, demo_plan: Path) -> None:
    before = (run / "certificates.jsonl").read_bytes()
    data = ["--data", "digits:test[:8]", "--sigma", "0.5", "--n", "47", "--mode", "radii", "--radii", "3", "--force"]
    said = engine("certify", "--plan", demo_plan, "--out", run, *data).expect(2).err
    assert "expected a radius that 47 draws can certify" in said
    assert (run / "certificates.jsonl").read_bytes() == before


def test_an_alpha_that_the_noise_uses_up_is_refused_in_one_line(demo_plan: Path, tmp_path: Path) -> None:
    data = ["--data", "digits:test[:8]", "--sigma", "0.5", "--n", "100000", "--early", "--alpha", "1e-13"]
    said = engine("predict", "--plan", demo_plan, "--out", tmp_path / "run", *data).expect(2).err
    assert "draws of noise may differ from ideal ones" in said
    assert not (tmp_path / "run").exists()


def _in_order(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the lines with their fields in the order of a certificate."""
    certified = next(row for row in rows if row["outcome"] == "certified")
    return [{key: row[key] for key in certified if key in row} for row in rows]
