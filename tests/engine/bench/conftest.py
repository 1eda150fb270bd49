"""A benchmark written by hand: numbers that are easy to check, and one row of every kind."""

from dataclasses import replace

import pytest

from purecert.engine.bench.agreement import Agreement
from purecert.engine.bench.cpu_peak import Peak
from purecert.engine.bench.latency import latency_of
from purecert.engine.bench.record import (
    BENCH_SCHEMA,
    BenchMachine,
    Benchmark,
    MeasuredRow,
    Options,
    Ratio,
    RowName,
    Speed,
    UnusableRow,
)

_BASELINE = MeasuredRow(
    row=RowName(name="eager", variant="channels-last", is_baseline=True, batch=64),
    executed_precision="fp32",
    device="cpu",
    hardware="x86_64 Test CPU",
    threads=2,
    placement=None,
    versions={"torch": "2.13.0"},
    build_seconds=0.0,
    open_seconds=1.25,
    warm_up_seconds=3.0,
    latency=latency_of([0.0640004] * 200),
    latency_seconds=12.8,
    samples_per_second=999.99,
    throughput_rows=12_800,
    throughput_seconds=12.8,
    seconds_per_certificate=100.101,
    device_memory_peak=None,
    host_memory_peak=300 * 2**20 + 1,
    agreement=Agreement(draws=2000, images=100, same=1999),
    agreement_limit=0.999,
    speed=Speed(
        flops_per_second=1e9,
        peak=Peak(flops=1e10, source="by hand"),
        share_of_peak=0.1,
        matrix_flops_per_second=5e9,
        share_of_matrix_rate=0.2,
    ),
    ratios=(Ratio(to="eager channels-last", batch=64, times=1.0),),
    verdict="VALID",
    reasons=(),
)

_OPTIONS = Options(
    plan="plan",
    model=None,
    data="digits:test",
    images=500,
    sigma=0.5,
    backends=("onnxruntime", "torch"),
    batches=(64,),
    threads=2,
    seconds=10.0,
    probe_rows=1000,
    agreement_draws=2000,
    trust_plan=False,
)


@pytest.fixture
def benchmark() -> Benchmark:
    """Return a benchmark with a baseline, an INVALID backend and one that cannot run."""
    invalid = replace(
        _BASELINE,
        row=RowName(name="onnxruntime", variant="", is_baseline=False, batch=64),
        samples_per_second=2599.0,
        agreement=None,
        agreement_limit=None,
        ratios=(Ratio(to="eager channels-last", batch=64, times=2.5999),),
        verdict="INVALID",
        reasons=("measured under 10 s", "agreement with eager FP32 was not checked: no model file"),
    )
    unusable = UnusableRow(
        row=RowName(name="torch", variant="", is_baseline=False, batch=64), reason="no such cached file | none"
    )
    return Benchmark(
        schema=BENCH_SCHEMA,
        purecert="0.1.0",
        options=_OPTIONS,
        plan="0" * 64,
        precision="fp16",
        purifier="consistency",
        seed=0,
        machine=BenchMachine(
            cpu="x86_64 Test CPU", processors=2, threads=2, accelerator=None, versions={"python": "3.11"}
        ),
        flops_per_row=1_000_000,
        flops_note="",
        reference_note="",
        reference_top_share=0.25,
        rows=(_BASELINE, invalid, unusable),
    )
