"""The time of calls and of a backend: a warm-up, then single batches, then two submissions in flight."""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from itertools import count
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from purecert.engine.backends.base import Backend, Segment
from purecert.engine.noise.contract import ESTIMATE

_IN_FLIGHT = 2  # as the scheduler has
_WARM_UP_SHARE = 0.3  # of the seconds that each measurement lasts
_LEAST_WARM_UP = 2  # calls
_LEAST_BATCHES = 3  # one for each third that drift is judged on


@dataclass(frozen=True, kw_only=True, slots=True)
class Timing:
    """What was measured after the warm-up."""

    warm_up_seconds: float
    latencies: tuple[float, ...]  # seconds of each single batch, in order
    latency_seconds: float  # their sum
    rows: int  # of the throughput measurement
    seconds: float  # of it, from its first submission to its last result

    @property
    def samples_per_second(self) -> float:
        """Return the rows counted per second with every submission's work included."""
        return self.rows / self.seconds


def time_loop(run_batch: Callable[[], object], batch: int, seconds: float) -> Timing:
    """Return the timing of a loop that does one batch after the other and waits for each: both measurements in one."""
    _, warm_up = _repeat(run_batch, _WARM_UP_SHARE * seconds, _LEAST_WARM_UP)
    began = perf_counter()
    latencies, total = _repeat(run_batch, seconds, _LEAST_BATCHES)
    elapsed = perf_counter() - began
    return Timing(
        warm_up_seconds=warm_up,
        latencies=latencies,
        latency_seconds=total,
        rows=batch * len(latencies),
        seconds=elapsed,
    )


def time_backend(backend: Backend, images: NDArray[np.uint8], indices: NDArray[np.int64], seconds: float) -> Timing:
    """Return the timing of ``backend`` on draws of ``images`` [n, C, H, W] with their ``indices`` in the data.

    Each of the two measurements lasts ``seconds`` or longer, until what it began has ended.
    """
    slots = min(backend.slots, len(images))
    for slot in range(slots):
        backend.place(slot, int(indices[slot]), images[slot])
    whole, single = _segments(slots, backend.capacity), _segments(slots, backend.info.batch)

    def run_batch() -> None:
        backend.submit([next(single)]).result()

    _, warm_up = _repeat(lambda: backend.submit([next(whole)]).result(), _WARM_UP_SHARE * seconds, _LEAST_WARM_UP)
    run_batch()  # the shape of the measurement that follows
    latencies, total = _repeat(run_batch, seconds, _LEAST_BATCHES)
    rows, elapsed = _stream(backend, whole, seconds)
    return Timing(warm_up_seconds=warm_up, latencies=latencies, latency_seconds=total, rows=rows, seconds=elapsed)


def _repeat(call: Callable[[], object], seconds: float, least: int) -> tuple[tuple[float, ...], float]:
    """Return the seconds of each of ``least`` or more calls, and their sum, which is ``seconds`` or more."""
    times: list[float] = []
    total = 0.0
    while total < seconds or len(times) < least:
        began = perf_counter()
        call()
        times.append(perf_counter() - began)
        total += times[-1]
    return tuple(times), total


def _stream(backend: Backend, segments: Iterator[Segment], seconds: float) -> tuple[int, float]:
    """Return the rows counted and the seconds taken, filling and draining included, so that nothing is flattered."""
    in_flight: deque[tuple[int, Future[NDArray[np.int64]]]] = deque()
    rows, began = 0, perf_counter()
    while True:
        is_over = perf_counter() - began >= seconds
        while not is_over and len(in_flight) < _IN_FLIGHT:
            segment = next(segments)
            in_flight.append((segment.count, backend.submit([segment])))
        if not in_flight:
            return rows, perf_counter() - began
        submitted, future = in_flight.popleft()
        future.result()
        rows += submitted


def _segments(slots: int, rows: int) -> Iterator[Segment]:
    """Yield segments of ``rows`` fresh draws each, one image after the other; each begins at a whole batch."""
    for turn in count():
        yield Segment(turn % slots, ESTIMATE, turn // slots * rows, rows)
