"""A measurement beside hardware, labels and baselines, with numbers that can be done in the head."""

from dataclasses import replace

import numpy as np
import pytest

from purecert.engine.bench.agreement import Draws
from purecert.engine.bench.judge import Yardstick, judge, with_ratios
from purecert.engine.bench.measure import Measurement
from purecert.engine.bench.record import RowName
from purecert.engine.bench.timing import Timing

_GPU = "NVIDIA H200 sm_90, x86_64 Test CPU"
_LABELS = np.arange(2000) % 7
_DRAWS = Draws(images=np.zeros((20, 1, 2, 2), np.uint8), indices=np.arange(20), per_image=100)
_BACKEND = RowName(name="torch-cuda", variant="", is_baseline=False, batch=100)


def _yardstick(**changes: object) -> Yardstick:
    by = Yardstick(
        plan_precision="fp16",
        flops_per_row=10**9,
        matrix_rates={("accelerator", "fp16"): 8e14, ("cpu", "fp32"): 4e12},
        draws=_DRAWS,
        reference=_LABELS,
        reference_note="",
        threads=2,
    )
    return replace(by, **changes)  # type: ignore[arg-type]  # by name


def _measurement(rate: float, batch: int = 100, **changes: object) -> Measurement:
    """Return what a row of ``rate`` samples a second leaves on a machine that keeps its pace."""
    timing = Timing(
        warm_up_seconds=3.0, latencies=(batch / rate,) * 400, latency_seconds=12.0, rows=int(rate * 12), seconds=12.0
    )
    found = Measurement(
        executed_precision="fp16",
        device="accelerator",
        hardware=_GPU,
        placement="row_invariant",
        versions={},
        build_seconds=1.0,
        open_seconds=2.0,
        timing=timing,
        device_memory_peak=5,
        host_memory_peak=7,
        labels=_LABELS.copy(),
    )
    return replace(found, **changes)  # type: ignore[arg-type]  # by name


def test_a_sound_row_is_valid_with_its_shares() -> None:
    row = judge(_BACKEND, _measurement(200_000), _yardstick())
    assert (row.verdict, row.reasons) == ("VALID", ())
    assert row.seconds_per_certificate == pytest.approx(100_100 / 200_000)
    assert row.speed is not None
    assert row.speed.flops_per_second == pytest.approx(2e14)
    assert row.speed.share_of_peak == pytest.approx(2e14 / 989.5e12)  # the datasheet's dense FP16 rate
    assert row.speed.share_of_matrix_rate == pytest.approx(0.25)


def test_labels_that_differ_make_it_invalid() -> None:
    labels = _LABELS.copy()
    labels[:11] += 1
    row = judge(_BACKEND, _measurement(1000, labels=labels), _yardstick())
    assert row.agreement is not None
    assert row.agreement.same == 1989
    assert row.verdict == "INVALID"
    # An FP32 row of an FP16 plan loses the votes of the plan's weights; a baseline must not.
    labels[:] = _LABELS
    labels[:9] += 1
    cpu = {"device": "cpu", "hardware": "Test CPU", "executed_precision": "fp32", "labels": labels}
    assert judge(_BACKEND, _measurement(1000, **cpu), _yardstick()).verdict == "VALID"
    baseline = replace(_BACKEND, name="eager", variant="NCHW", is_baseline=True)
    assert judge(baseline, _measurement(1000, **cpu), _yardstick()).verdict == "INVALID"


def test_mixed_precision_has_no_peak_of_its_own() -> None:
    row = judge(_BACKEND, _measurement(1000, executed_precision="tf32"), _yardstick())
    assert row.speed is not None
    assert row.speed.share_of_peak is row.speed.share_of_matrix_rate is None
    assert "convolutions run in TF32" in row.speed.peak.source


def test_a_peak_below_what_was_measured_is_none() -> None:
    row = judge(_BACKEND, _measurement(1000), _yardstick(matrix_rates={("accelerator", "fp16"): 1e15}))
    assert row.speed is not None
    assert row.speed.share_of_peak is None
    assert row.speed.share_of_matrix_rate == pytest.approx(1e-3)
    assert "a measured product exceeds datasheet of H200 SXM" in row.speed.peak.source


def test_ratios_are_to_the_fastest_valid_baseline_of_each_group() -> None:
    def row(name: str, variant: str, batch: int, rate: float, *, valid: bool = True) -> object:
        named = RowName(name=name, variant=variant, is_baseline=name == "eager", batch=batch)
        judged = judge(named, _measurement(rate, batch), _yardstick())
        assert judged.verdict == "VALID"
        return judged if valid else replace(judged, verdict="INVALID")

    rows = [
        row("eager", "TF32 off", 64, 1000),
        row("eager", "TF32 off", 128, 2000),
        row("eager", "TF32 off", 256, 4000, valid=False),
        row("eager", "torch's defaults", 64, 5000),
        row("torch-cuda", "", 256, 20_000),
    ]
    *_, last = with_ratios(rows, [("TF32 off",), ("torch's defaults",)])  # type: ignore[arg-type]  # rows of above
    assert [(ratio.to, ratio.batch, round(ratio.times, 9)) for ratio in last.ratios] == [
        ("eager TF32 off", 128, 10.0),
        ("eager torch's defaults", 64, 4.0),
    ]
    (alone,) = with_ratios(rows[4:], [("TF32 off",)])  # type: ignore[arg-type]  # rows of above
    assert alone.ratios == ()
