"""What a series of times says: percentiles that were really met, and whether the machine kept its pace."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

_MS = 1e3


@dataclass(frozen=True, kw_only=True, slots=True)
class Latency:
    """The times of single batches, in milliseconds."""

    batches: int
    p50_ms: float
    p90_ms: float
    p99_ms: float
    least_ms: float
    largest_ms: float
    first_third_ms: float  # median
    last_third_ms: float  # median


def latency_of(seconds: Sequence[float]) -> Latency:
    """Return the percentiles of ``seconds``, in the order in which they were measured.

    A percentile is the least measured time that so many per cent of the times do not exceed (nearest rank): one that
    was met, never one between two. With fewer than 100 batches p99 is the largest.
    """
    times = np.asarray(seconds, np.float64) * _MS
    third = -(-len(times) // 3)
    p50, p90, p99 = np.percentile(times, [50, 90, 99], method="inverted_cdf")
    return Latency(
        batches=len(times),
        p50_ms=float(p50),
        p90_ms=float(p90),
        p99_ms=float(p99),
        least_ms=float(times.min()),
        largest_ms=float(times.max()),
        first_third_ms=float(np.median(times[:third])),
        last_third_ms=float(np.median(times[-third:])),
    )


def drift(latency: Latency) -> float:
    """Return by what share the median of the last third differs from that of the first; negative where it is less."""
    return latency.last_third_ms / latency.first_third_ms - 1
