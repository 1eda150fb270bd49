"""Every mode through the commands: killed and resumed to the same bytes, the same at every batch size, verified."""

import json
import random
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from support.commands import engine, engine_arguments

pytestmark = pytest.mark.slow  # whole runs, killed and continued

_MODES = {
    "fixed": ("certify", ()),
    "radii": ("certify", ("--mode", "radii")),
    "tolerance": ("certify", ("--mode", "tolerance")),
    "against label": ("certify", ("--mode", "radii", "--against-label")),
    "predict": ("predict", ()),
    "predict early": ("predict", ("--early",)),
}

_SAID = {
    "fixed": "certify, fixed n",
    "radii": "certify, stops early by radii",
    "tolerance": "certify, stops early by tolerance",
    "against label": "certify, stops early by radii, class given: label",
    "predict": "predict, fixed n",
    "predict early": "predict, stops early by answer",
}


def _arguments(plan: Path, out: Path, batch: int, extra: tuple[str, ...]) -> list[str | Path]:
    data = ["--data", "digits:test[:20]", "--sigma", "0.5", "--n", "800", "--seed", "77", "--threads", "1"]
    return ["--plan", plan, "--out", out, "--batch", str(batch), "--probe-rows", "64", *data, *extra]


def _rows(run: Path) -> list[dict[str, Any]]:
    """Return the ledger's lines without what names the run, whose batch is a part of it."""
    rows = [json.loads(line) for line in (run / "certificates.jsonl").read_text().splitlines()]
    return [{key: value for key, value in row.items() if key not in ("run", "check")} for row in rows]


@pytest.mark.parametrize(
    "mode",
    [pytest.param(mode, marks=[] if mode == "radii" else [pytest.mark.nightly]) for mode in _MODES],
)
def test_a_killed_run_ends_in_the_same_bytes_at_any_batch_and_verifies(
    demo_plan: Path, tmp_path: Path, mode: str
) -> None:
    command, extra = _MODES[mode]
    for batch in (64, 256):
        whole, cut = tmp_path / f"whole-{batch}", tmp_path / f"killed-{batch}"
        said = engine(command, *_arguments(demo_plan, whole, batch, extra)).expect(0).err
        assert "of all rows were not needed" in said
        resuming = [*_arguments(demo_plan, cut, batch, extra), "--resume"]
        for moment in range(1 if mode == "radii" else 2):  # CI tries that mode, and once
            _start_and_kill(command, resuming, cut, random.Random(f"{mode} {batch} {moment}"))
        engine(command, *resuming).expect(0)
        for name in ("run.json", "certificates.jsonl"):
            assert (cut / name).read_bytes() == (whole / name).read_bytes()
        said = engine("verify", cut, "--share", "0.2", "--strict").expect(0).out
        assert f"{_SAID[mode]}; alpha 0.001 an image" in said.splitlines()
    assert _rows(tmp_path / "whole-64") == _rows(tmp_path / "whole-256")


def test_a_run_without_tables_is_continued_by_the_command_that_began_it(demo_plan: Path, tmp_path: Path) -> None:
    """An alpha too small for tables leaves the price without a use; the run has none."""
    options = ["--mode", "radii", "--radii", "0", "--price", "300000", "--alpha", "1e-13"]
    arguments = _arguments(demo_plan, tmp_path / "run", 64, tuple(options))
    assert "which has no price" in engine("certify", *arguments).expect(0).err
    before = (tmp_path / "run" / "run.json").read_bytes()
    engine("certify", *arguments, "--resume").expect(0)
    assert (tmp_path / "run" / "run.json").read_bytes() == before


def test_a_run_with_tables_is_not_continued_at_another_price(demo_plan: Path, tmp_path: Path) -> None:
    arguments = _arguments(demo_plan, tmp_path / "run", 64, ("--mode", "radii", "--price", "300000"))
    engine("certify", *arguments).expect(0)
    again = _arguments(demo_plan, tmp_path / "run", 64, ("--mode", "radii", "--price", "200000", "--resume"))
    said = engine("certify", *again).expect(2).err
    assert "expected --price 300000, at which the run was begun, got 200000; resume at that price" in said


def _start_and_kill(command: str, arguments: list[str | Path], run: Path, chance: random.Random) -> None:
    """Start the run and kill it some rows and milliseconds later."""
    ledger = run / "certificates.jsonl"
    rows = chance.randint(0, 5) + (ledger.read_bytes().count(b"\n") if ledger.exists() else 0)
    process = subprocess.Popen(
        engine_arguments(command, *arguments), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    while process.poll() is None and (ledger.read_bytes().count(b"\n") if ledger.exists() else 0) < rows:
        time.sleep(0.002)
    time.sleep(chance.uniform(0, 0.02))
    process.send_signal(signal.SIGKILL)
    process.wait()


@pytest.mark.nightly
def test_usage_is_a_line_a_session_and_goes_with_the_run(demo_plan: Path, tmp_path: Path) -> None:
    # With tables, rows are drawn ahead that no count holds: tests/engine/running/test_early_scheduling.py has those.
    arguments = _arguments(demo_plan, tmp_path / "run", 64, ("--mode", "tolerance"))
    engine("certify", *arguments).expect(0)
    (first,) = _usage(tmp_path / "run")
    draws = sum(sum(phase.values()) for row in _rows(tmp_path / "run") for phase in row["counts"])
    assert first["rows"] == draws
    engine("certify", *arguments, "--resume").expect(0)
    assert _usage(tmp_path / "run") == [first, {"in_vain": 0, "padding": 0, "rows": 0}]
    engine("certify", *arguments, "--force").expect(0)
    assert _usage(tmp_path / "run") == [first]


def _usage(run: Path) -> list[dict[str, int]]:
    return [json.loads(line) for line in (run / "usage.jsonl").read_text().splitlines()]
