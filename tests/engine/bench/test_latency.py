"""Percentiles of series whose order statistics are known."""

import random

import pytest

from purecert.engine.bench.latency import drift, latency_of


def test_percentiles_of_one_to_a_hundred_are_their_own_ranks() -> None:
    times = [rank / 1e3 for rank in range(1, 101)]
    random.Random(3).shuffle(times)
    latency = latency_of(times)
    assert (latency.p50_ms, latency.p90_ms, latency.p99_ms) == pytest.approx((50, 90, 99))
    assert (latency.least_ms, latency.largest_ms, latency.batches) == (pytest.approx(1), pytest.approx(100), 100)


def test_a_percentile_is_a_time_that_was_met() -> None:
    latency = latency_of([0.001, 0.002, 0.004, 0.1])
    # The least of the times that 50, 90 and 99 per cent do not exceed.
    assert (latency.p50_ms, latency.p90_ms, latency.p99_ms) == pytest.approx((2, 100, 100))


@pytest.mark.parametrize("batches", [1, 2, 3, 4, 300])
def test_steady_times_do_not_drift(batches: int) -> None:
    latency = latency_of([0.02] * batches)
    assert (latency.p50_ms, latency.p99_ms, drift(latency)) == (pytest.approx(20), pytest.approx(20), 0)


@pytest.mark.parametrize(("last", "expected"), [(0.015, 0.5), (0.005, -0.5)])
def test_drift_compares_the_last_third_with_the_first(last: float, expected: float) -> None:
    # One outlier in each third does not move its median.
    times = [0.01] * 9 + [9.0] + [0.01] * 10 + [last] * 9 + [9.0]
    assert drift(latency_of(times)) == pytest.approx(expected)
