"""What benchmarks/gpu says of results: a sanitizer's reports, the best rows of several batches, and the targets."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

_BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
_CLEAN = "========= COMPUTE-SANITIZER\n========= ERROR SUMMARY: 0 errors\n"
_NO_HAZARD = "========= COMPUTE-SANITIZER\n========= RACECHECK SUMMARY: 0 hazards displayed (0 errors, 0 warnings)\n"


@pytest.fixture(autouse=True)
def _programs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(_BENCHMARKS))


@pytest.mark.parametrize(
    ("tool", "text", "expected"),
    [
        ("memcheck", _CLEAN, 0),
        ("initcheck", _CLEAN, 0),
        ("synccheck", _CLEAN, 0),
        ("racecheck", _NO_HAZARD, 0),
        ("memcheck", "========= ERROR SUMMARY: 1 error\n", 1),
        ("memcheck", "========= ERROR SUMMARY: 12 errors\n", 12),
        ("racecheck", "========= RACECHECK SUMMARY: 2 hazards displayed (0 errors, 2 warnings)\n", 2),
        ("racecheck", "========= RACECHECK SUMMARY: 1 hazard displayed (1 error, 0 warnings)\n", 1),
        ("racecheck", _CLEAN, None),
        ("memcheck", _NO_HAZARD, None),
        ("memcheck", "========= COMPUTE-SANITIZER\n", None),
        ("memcheck", "", None),
        ("memcheck", "========= Error: No attachable process found. compute-sanitizer timed-out.\n", None),
        ("memcheck", _CLEAN + "========= Internal Sanitizer Error: Device not supported\n", None),
    ],
)
def test_only_a_summary_of_the_tools_own_kind_is_a_report(tool: str, text: str, expected: int | None) -> None:
    from gpu.sanitizer_report import faults

    assert faults(tool, text) == expected


def _sanitize(folder: Path, report: str, exit_code: int = 0) -> subprocess.CompletedProcess[str]:
    """Run the step with a program in the place of compute-sanitizer, which says ``report`` in CUDA_HOME/bin."""
    program = folder / "bin" / "compute-sanitizer"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\n{report}\nexit {exit_code}\n")
    program.chmod(0o755)
    environment = os.environ | {"PYTHONPATH": str(_BENCHMARKS), "CUDA_HOME": str(folder), "RESULTS": str(folder)}
    environment |= {"PURECERT_DRY_RUN": "0", "WORK": str(folder), "COMMIT": "0", "BATCH": "8", "BATCHES": "8"}
    command = [sys.executable, "-m", "gpu.sanitize"]
    return subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, check=False)


_REPORTS = f"case $2 in racecheck) printf '{_NO_HAZARD}' ;; *) printf '{_CLEAN}' ;; esac".replace("\n", "\\n")


@pytest.mark.slow
def test_clean_reports_of_every_tool_pass(tmp_path: Path) -> None:
    done = _sanitize(tmp_path, _REPORTS)
    assert done.returncode == 0, done.stderr
    reports = json.loads((tmp_path / "sanitize.json").read_bytes())["reports"]
    assert [report["tool"] for report in reports if report["is_clean"]] == [
        "memcheck",
        "racecheck",
        "initcheck",
        "synccheck",
    ]


@pytest.mark.slow
@pytest.mark.parametrize(("report", "exit_code"), [("", 0), (_REPORTS, 9)])
def test_silence_and_a_bad_exit_code_are_no_clean_reports(report: str, exit_code: int, tmp_path: Path) -> None:
    done = _sanitize(tmp_path, report, exit_code)
    assert done.returncode == 4
    assert done.stderr.splitlines()[-1].endswith(
        "expected clean reports, got others from memcheck, racecheck, initcheck, synccheck; they are above"
    )


def _row(variant: str, batch: int, rate: float, verdict: str = "VALID") -> dict[str, Any]:
    name = "eager" if variant else "torch-cuda"
    row = {"name": name, "variant": variant, "is_baseline": bool(variant), "batch": batch}
    speed = {"flops_per_second": 3e9 * rate}
    return {"row": row, "samples_per_second": rate, "verdict": verdict, "speed": speed}


_BENCHMARKED = [
    {"rows": [_row("TF32 off", 256, 100.0), _row("torch's defaults", 256, 150.0), _row("", 256, 900.0)]},
    {"rows": [_row("TF32 off", 512, 400.0, "INVALID"), _row("torch's defaults", 512, 300.0), _row("", 512, 600.0)]},
    {"rows": [{"row": {"is_baseline": False}, "reason": "no memory"}]},
]


def test_the_best_rows_are_compared_across_batches() -> None:
    from gpu.best import best_of

    best = best_of(_BENCHMARKED, only_valid=True)
    assert (best["backend"]["batch"], best["backend"]["flops_per_second"]) == (256, 2.7e12)
    assert {(r["to"], r["batch"], r["times"]) for r in best["ratios"]} == {
        ("TF32 off", 256, 9.0),
        ("torch's defaults", 512, 3.0),
    }
    assert {r["to"]: r["times"] for r in best_of(_BENCHMARKED, only_valid=False)["ratios"]}["TF32 off"] == 2.25
    assert best_of([], only_valid=True)["backend"] is None


@pytest.mark.parametrize(
    ("asked", "measured", "is_taken"),
    [
        (("tensorrt",), ("torch-cuda", "tensorrt"), True),
        (("tensorrt",), ("torch-cuda",), False),
        ((), ("torch-cuda", "tensorrt"), False),
    ],
)
def test_rows_that_the_plans_own_step_was_asked_for_are_not_measured_twice(
    asked: tuple[str, ...], measured: tuple[str, ...], is_taken: bool, tmp_path: Path
) -> None:
    from gpu.backend import measured_before
    from gpu.setting import Setting

    setting = Setting(
        is_dry_run=False, results=tmp_path, work=tmp_path, commit="0", batches=(8,), batch=8, backends=asked
    )
    assert measured_before(setting, "tensorrt") is None
    benchmark = {"rows": [{"row": {"name": name}} for name in measured]}
    (tmp_path / "bench-vit.json").write_text(json.dumps({"benchmarks": {"8": benchmark}}))
    assert measured_before(setting, "tensorrt") == (benchmark if is_taken else None)


def test_a_rate_counts_where_its_row_is_of_that_backend_and_valid() -> None:
    from gpu.best import rate_of

    first, second, _ = _BENCHMARKED
    assert rate_of(first, "torch-cuda", only_valid=True) == 900.0
    assert rate_of(first, "tensorrt", only_valid=True) is None
    assert rate_of(second, "eager", only_valid=True) == 300.0
    assert rate_of(second, "eager", only_valid=False) == 400.0
    unusable = {"rows": [{"row": {"name": "tensorrt", "is_baseline": False}, "reason": "no memory"}]}
    assert rate_of(unusable, "tensorrt", only_valid=False) is None


def _verdicts(records: dict[str, Any]) -> dict[str, str]:
    from gpu.targets import Expected, find_targets

    expected = Expected(baseline="TF32 off", beside="torch's defaults", draws=10**9, n=(100_000,))
    return {target.claim: target.verdict for target in find_targets(records, expected)}


def test_without_records_nothing_is_measured() -> None:
    assert set(_verdicts({}).values()) == {"not measured"}


def test_targets_are_judged_by_what_the_steps_recorded() -> None:
    from gpu.best import best_of

    best = best_of(_BENCHMARKED, only_valid=True)
    reports = [{"tool": tool, "is_clean": True} for tool in ("memcheck", "racecheck", "initcheck", "synccheck")]
    records: dict[str, Any] = {
        "bench-vit": {"best": best},
        "bench-wrn": {"best": {"backend": None, "ratios": []}},
        "matrix-rate": {"rates": {"bf16": {"tflops": 6.0}}},
        "outside-vit": {"in_all": 0.03},
        "outside-wrn": {"in_all": 0.031},
        "certify-vit": {"runs": [{"n": 100_000, "seconds_per_certificate": 12.5}]},
        "noise-check": {"equal": {"draws_as_on_the_cpu": 10**9, "published_vectors": 1554}},
        "agreement": {"differing_noise_values": 0, "differing_labels": 7},
        "sanitize": {"reports": reports},
        "backend-tensorrt": {"skipped": None, "times": 1.25},
        "backend-onnxruntime-cuda": {"skipped": "no library"},
    }
    verdicts = _verdicts(records)
    assert verdicts["vit: share of the measured bf16 matrix rate"] == "met"  # 2.7 of 6
    assert verdicts["wrn: share of the measured bf16 matrix rate"] == "not measured"
    assert verdicts["vit: times eager FP32, TF32 off"] == "met"
    assert verdicts["vit: share of time outside the network"] == "met"
    assert verdicts["wrn: share of time outside the network"] == "not met"
    assert verdicts["vit: seconds per certificate, n = 100,000"] == "met"
    assert verdicts["noise: draws equal to the CPU's"] == "met"
    assert verdicts["compute-sanitizer: tools without a clean report"] == "met"
    assert verdicts["vit: times torch-cuda, tensorrt"] == "met"
    assert verdicts["vit: times torch-cuda, onnxruntime-cuda"] == "not measured"
    records |= {"sanitize": {"reports": reports[1:]}, "matrix-rate": {"rates": {"bf16": {"tflops": 6.1}}}}
    records["noise-check"]["equal"]["draws_as_on_the_cpu"] -= 1
    verdicts = _verdicts(records)
    assert verdicts["compute-sanitizer: tools without a clean report"] == "not met"
    assert verdicts["vit: share of the measured bf16 matrix rate"] == "not met"
    assert verdicts["noise: draws equal to the CPU's"] == "not met"
