"""Whether a row's numbers count, with every reason why not."""

from collections.abc import Iterator, Mapping

from purecert.engine.bench.agreement import Agreement
from purecert.engine.bench.latency import Latency, drift
from purecert.engine.bench.timing import Timing

LEAST_SECONDS = 10.0
LEAST_WARM_UP = 2.0  # seconds
LEAST_DRAWS = 2000  # on which labels are compared
MOST_DRIFT = 0.10
LEAST_EVENNESS = 0.8  # of the rate that batches of median latency, one after the other, would reach

# DESIGN, gate. TF32 keeps as many bits of a factor as FP16 does.
AGREEMENT_LIMITS: Mapping[str, float] = {"fp32": 0.999, "tf32": 0.995, "fp16": 0.995, "bf16": 0.98, "int8": 0.97}


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
