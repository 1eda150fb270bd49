"""Timing of a backend whose speed is known, since all that it does is sleep."""

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from typing import final

import numpy as np
import pytest
from numpy.typing import NDArray

from purecert.engine.backends.base import Backend, BackendInfo, Segment
from purecert.engine.bench.timing import time_backend, time_loop

_BATCH, _BATCHES = 10, 4  # of a submission
_SECONDS = 0.02  # of a batch: far above what a sleep overruns


@final
class _Sleeper(Backend):
    """A backend that takes a fixed time for each batch, one after the other."""

    def __init__(self) -> None:
        self.submissions: list[Segment] = []
        self.in_flight, self.most_in_flight = 0, 0
        self._worker = ThreadPoolExecutor(1)

    @property
    def info(self) -> BackendInfo:
        return BackendInfo(
            name="sleeper",
            executed_precision="fp32",
            versions={},
            graph="",
            nodes={},
            trusted=False,
            hardware="none",
            threads=1,
            batch=_BATCH,
            placement="row_invariant",
            probed="labels",
            probe_rows=0,
        )

    @property
    def slots(self) -> int:
        return 3

    @property
    def capacity(self) -> int:
        return _BATCH * _BATCHES

    def place(self, slot: int, image_index: int, pixels: NDArray[np.uint8]) -> None:
        assert (slot, image_index, int(pixels[0, 0, 0])) == (slot, 100 + slot, slot)

    def submit(self, segments: Sequence[Segment]) -> Future[NDArray[np.int64]]:
        (segment,) = segments
        self.submissions.append(segment)
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        return self._worker.submit(self._count, segment)

    def close(self) -> None:
        self._worker.shutdown()

    def _count(self, segment: Segment) -> NDArray[np.int64]:
        time.sleep(segment.count // _BATCH * _SECONDS)
        self.in_flight -= 1
        return np.array([[segment.count, 0, 0]])


@pytest.fixture
def sleeper() -> Iterator[_Sleeper]:
    with closing(_Sleeper()) as backend:
        yield backend


def test_a_backend_of_known_speed_is_measured_at_it(sleeper: _Sleeper) -> None:
    images = np.arange(5, dtype=np.uint8).reshape(5, 1, 1, 1)
    timing = time_backend(sleeper, images, np.arange(100, 105), 0.5)
    assert min(timing.latencies) >= _SECONDS
    # A sleep is never shorter than asked, but on a busy machine longer.
    assert float(np.median(timing.latencies)) < 2 * _SECONDS
    assert _BATCH / _SECONDS / 3 < timing.samples_per_second <= _BATCH / _SECONDS
    assert timing.warm_up_seconds >= 0.3 * 0.5
    assert timing.latency_seconds >= 0.5
    assert timing.seconds >= 0.5
    assert timing.rows % (_BATCH * _BATCHES) == 0


def test_two_submissions_are_in_flight_and_every_one_begins_at_a_whole_batch(sleeper: _Sleeper) -> None:
    time_backend(sleeper, np.arange(5, dtype=np.uint8).reshape(5, 1, 1, 1), np.arange(100, 105), 0.1)
    assert sleeper.most_in_flight == 2
    assert sleeper.in_flight == 0
    assert {segment.count for segment in sleeper.submissions} == {_BATCH, _BATCH * _BATCHES}
    assert all(segment.first % segment.count == 0 for segment in sleeper.submissions)
    # A draw that is met twice would be warm.
    for count in (_BATCH, _BATCH * _BATCHES):
        segments = [segment for segment in sleeper.submissions if segment.count == count]
        assert len(set(segments)) == len(segments)


def test_a_loop_is_measured_for_as_long_as_asked_and_at_least_three_batches() -> None:
    timing = time_loop(lambda: time.sleep(_SECONDS), _BATCH, 0.3)
    assert timing.latency_seconds >= 0.3
    assert timing.rows == _BATCH * len(timing.latencies)
    assert _BATCH / _SECONDS / 3 < timing.samples_per_second <= _BATCH / _SECONDS
    assert len(time_loop(lambda: time.sleep(_SECONDS), _BATCH, 1e-9).latencies) == 3
