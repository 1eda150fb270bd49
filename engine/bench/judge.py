"""A measurement beside what it is measured against, and whether its numbers count, with every reason why not."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from purecert.engine.backends.vote_limits import LIMITS
from purecert.engine.bench.agreement import Agreement, Draws, Labels, compare
from purecert.engine.bench.cpu_peak import Peak
from purecert.engine.bench.latency import Latency, drift, latency_of
from purecert.engine.bench.measure import Measurement
from purecert.engine.bench.peaks import peak_of
from purecert.engine.bench.record import (
    ESTIMATION_DRAWS,
    SELECTION_DRAWS,
    MeasuredRow,
    Ratio,
    RowName,
    Speed,
)
from purecert.engine.bench.timing import Timing

LEAST_SECONDS = 10.0
LEAST_WARM_UP = 2.0  # seconds
LEAST_DRAWS = 2000  # on which labels are compared
MOST_DRIFT = 0.10
LEAST_EVENNESS = 0.8  # of the rate that batches of median latency, one after the other, would reach

# Least share of equal labels, by precision. TF32 keeps as many bits of a factor as FP16 does.
AGREEMENT_LIMITS: Mapping[str, float] = {
    **{precision: limits.agreement for precision, limits in LIMITS.items()},
    "tf32": LIMITS["fp16"].agreement,
}


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Yardstick:
    """What all rows of one benchmark are measured against."""

    plan_precision: str
    flops_per_row: int | None
    matrix_rates: Mapping[tuple[str, str], float]  # (device, precision) -> FLOP/s; some may be missing
    draws: Draws
    reference: Labels | None  # eager FP32's labels of the draws
    reference_note: str  # why there are none
    threads: int


def judge(row: RowName, found: Measurement, by: Yardstick) -> MeasuredRow:
    """Return the row that ``found`` makes, without ratios."""
    timing, latency = found.timing, latency_of(found.timing.latencies)
    limit = agreement_limit(by.plan_precision if not row.is_baseline else "fp32", found.executed_precision)
    agreement = _agreement(found, by)
    reasons = tuple(reasons_against(timing, latency, row.batch, agreement or by.reference_note, limit))
    return MeasuredRow(
        row=row,
        executed_precision=found.executed_precision,
        device=found.device,
        hardware=found.hardware,
        threads=by.threads,
        placement=found.placement,
        versions=found.versions,
        build_seconds=found.build_seconds,
        open_seconds=found.open_seconds,
        warm_up_seconds=timing.warm_up_seconds,
        latency=latency,
        latency_seconds=timing.latency_seconds,
        samples_per_second=timing.samples_per_second,
        throughput_rows=timing.rows,
        throughput_seconds=timing.seconds,
        seconds_per_certificate=(SELECTION_DRAWS + ESTIMATION_DRAWS) / timing.samples_per_second,
        device_memory_peak=found.device_memory_peak,
        host_memory_peak=found.host_memory_peak,
        agreement=agreement,
        agreement_limit=None if agreement is None else limit,
        speed=_speed(found, by),
        ratios=(),
        verdict="INVALID" if reasons else "VALID",
        reasons=reasons,
    )


def with_ratios(rows: Sequence[MeasuredRow], groups: Sequence[Sequence[str]]) -> list[MeasuredRow]:
    """Return the rows with their ratio to the fastest VALID baseline of each group of variants, whatever its batch."""
    fastest = []
    for variants in groups:
        baselines = [row for row in rows if row.row.is_baseline and row.row.variant in variants]
        baselines = [row for row in baselines if row.verdict == "VALID"]  # an interrupted one would flatter the rest
        fastest += [max(baselines, key=lambda row: row.samples_per_second)] if baselines else []
    return [replace(row, ratios=tuple(_ratio(row, base) for base in fastest)) for row in rows]


def _ratio(row: MeasuredRow, base: MeasuredRow) -> Ratio:
    return Ratio(to=base.row.title, batch=base.row.batch, times=row.samples_per_second / base.samples_per_second)


def _agreement(found: Measurement, by: Yardstick) -> Agreement | None:
    if found.labels is None or by.reference is None:
        return None
    return compare(found.labels, by.reference, by.draws)


def _speed(found: Measurement, by: Yardstick) -> Speed | None:
    if by.flops_per_row is None:
        return None
    flops = by.flops_per_row * found.timing.samples_per_second
    if found.executed_precision == "tf32":
        mixed = Peak(flops=None, source="unknown: convolutions run in TF32 and products in FP32")
        return Speed(
            flops_per_second=flops,
            peak=mixed,
            share_of_peak=None,
            matrix_flops_per_second=None,
            share_of_matrix_rate=None,
        )
    matrix_rate = by.matrix_rates.get((found.device, found.executed_precision))
    peak = _credible(peak_of(found.device, found.hardware, found.executed_precision, by.threads), matrix_rate)
    return Speed(
        flops_per_second=flops,
        peak=peak,
        share_of_peak=None if peak.flops is None else flops / peak.flops,
        matrix_flops_per_second=matrix_rate,
        share_of_matrix_rate=None if matrix_rate is None else flops / matrix_rate,
    )


def _credible(peak: Peak, matrix_rate: float | None) -> Peak:
    """Return the peak, or that it is unknown where a measured product exceeds it."""
    if peak.flops is None or matrix_rate is None or matrix_rate <= peak.flops:
        return peak
    return Peak(flops=None, source=f"unknown: a measured product exceeds {peak.source}")


def agreement_limit(plan_precision: str, executed_precision: str) -> float:
    """Return the least share of equal labels: a graph that holds FP16 weights loses their votes in any arithmetic."""
    return min(AGREEMENT_LIMITS[plan_precision], AGREEMENT_LIMITS[executed_precision])


def reasons_against(
    timing: Timing, latency: Latency, batch: int, agreement: Agreement | str, limit: float
) -> Iterator[str]:
    """Yield every reason why a row does not count; none for one that does. ``agreement`` may be why there is none."""
    yield from _reasons_against_time(timing, latency, batch)
    yield from _reasons_against_labels(agreement, limit)


def _reasons_against_time(timing: Timing, latency: Latency, batch: int) -> Iterator[str]:
    if timing.warm_up_seconds < LEAST_WARM_UP:
        yield f"warmed up for {timing.warm_up_seconds:.1f} s, under {LEAST_WARM_UP:g} s"
    if min(timing.latency_seconds, timing.seconds) < LEAST_SECONDS:
        yield f"measured under {LEAST_SECONDS:g} s"
    if abs(drift(latency)) > MOST_DRIFT:
        yield f"latency drifted by {drift(latency):+.0%} from the first to the last third of the batches"
    evenness = timing.samples_per_second * latency.p50_ms / 1e3 / batch
    if evenness < LEAST_EVENNESS:
        yield f"only {evenness:.0%} of the rate that batches of median latency reach: something interrupted it"


def _reasons_against_labels(agreement: Agreement | str, limit: float) -> Iterator[str]:
    if isinstance(agreement, str):
        yield f"agreement with eager FP32 was not checked: {agreement}"
        return
    if agreement.draws < LEAST_DRAWS:
        yield f"agreement was checked on {agreement.draws} draws, under {LEAST_DRAWS}"
    if not agreement.share >= limit:
        yield f"{agreement.same} of {agreement.draws} labels equal eager FP32's, under {limit:.1%}"
