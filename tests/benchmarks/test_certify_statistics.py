"""What benchmarks/certifying concludes from numbers: whether votes are the same, ratios within rounds, and growth."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from purecert.engine.procedures.outcomes import Abstention, Certificate

_BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(autouse=True)
def _programs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(_BENCHMARKS))


def _votes(generator: np.random.Generator, shares: NDArray[np.float64], n: int) -> NDArray[np.int64]:
    """Return votes [images, 3] of which class 1 has each image's share, class 0 the rest and nothing is invalid."""
    found = generator.binomial(n, shares)
    return np.stack([n - found, found, np.zeros_like(found)], axis=1)


def _compare(votes: NDArray[np.int64], other: NDArray[np.int64]) -> Any:
    from certifying.same_votes import compare_votes

    return compare_votes(np.ones(len(votes), np.int64), votes, other)


@pytest.mark.slow
def test_p_values_of_sides_that_are_the_same_are_spread_as_they_claim() -> None:
    generator, shares = np.random.default_rng(1), np.linspace(0.5, 0.999, 8)
    found = [_compare(_votes(generator, shares, 1000), _votes(generator, shares, 1000)) for _ in range(250)]
    assert all(one.agree for one in found)
    for level in (0.05, 0.5):
        deviation = np.sqrt(level * (1 - level) / len(found))
        assert abs(np.mean([one.pooled_p_value <= level for one in found]) - level) < 4 * deviation
        # Fisher's test, and Bonferroni's correction, reject less often than they may.
        assert np.mean([one.least_p_value <= level for one in found]) < level + 4 * deviation


def test_one_image_that_differs_is_seen() -> None:
    generator, shares = np.random.default_rng(2), np.full(20, 0.9)
    moved = shares - 0.05 * (np.arange(20) == 7)
    found = _compare(_votes(generator, shares, 10_000), _votes(generator, moved, 10_000))
    assert not found.agree
    assert found.least_p_value < 1e-12


def test_a_small_difference_that_all_images_share_is_seen_together_only() -> None:
    generator, shares = np.random.default_rng(3), np.full(100, 0.9)
    found = _compare(_votes(generator, shares, 10_000), _votes(generator, shares - 0.005, 10_000))
    assert found.pooled_p_value < 1e-12
    assert found.least_p_value > 1e-6
    assert not found.agree
    assert found.share == pytest.approx(0.9, abs=0.002)
    assert found.other_share == pytest.approx(0.895, abs=0.002)


def test_the_pooled_test_of_one_image_is_close_to_fishers_exact_one() -> None:
    votes, other = np.array([[1800, 8200, 0]]), np.array([[1950, 8050, 0]])
    found = _compare(votes, other)
    assert found.pooled_p_value == pytest.approx(found.least_p_value, rel=0.1)


def test_votes_that_are_all_for_one_class_are_the_same() -> None:
    votes = np.array([[0, 500, 0], [0, 500, 0]])
    found = _compare(votes, votes)
    assert (found.least_p_value, found.pooled_p_value, found.agree) == (1.0, 1.0, True)


def _certified(seconds: float, loop: float, votes: NDArray[np.int64], selected: NDArray[np.int64]) -> Any:
    from certifying.work import Certified

    outcomes = (Certificate(predicted=1, p_lower=0.9, radius=0.5), Abstention())
    numbers = {"seconds": seconds, "loop_seconds": loop, "memory_peak": 7, "executed_precision": "fp32"}
    return Certified(**numbers, votes=votes, selected=selected, outcomes=outcomes)


def test_ratios_are_taken_within_a_round_and_the_faster_of_the_fields_loops_is_the_baseline() -> None:
    from certifying.comparison import fastest, side_result

    votes, selected = np.array([[10, 70, 0], [40, 40, 0]]), np.array([[1, 9, 0], [5, 5, 0]])
    times = {"slow": [(9, 8), (6, 4)], "fast": [(7, 6), (5, 3)], "engine": [(4, 2), (3, 1.5)]}
    runs = {name: [_certified(*pair, votes, selected) for pair in found] for name, found in times.items()}
    assert fastest({name: runs[name] for name in ("slow", "fast")}) == "fast"
    result = side_result("engine", runs["engine"], runs["fast"])
    assert result.ratios == (3.0, 2.0)
    assert result.whole_ratios == (7 / 4, 5 / 3)
    assert result.samples_per_second == (180 / 2, 180 / 1.5)
    assert (result.mean_radius, result.abstained) == (0.25, 1)


def test_the_class_that_votes_are_tested_for_comes_from_the_baselines_selection() -> None:
    from certifying.comparison import votes_of_rounds

    votes, selected = np.array([[600, 400, 0]]), np.array([[40, 60, 0]])
    run = _certified(1, 1, votes, selected)
    found = votes_of_rounds([run, run], [run, run])
    assert (found.share, found.other_share, found.draws) == (0.4, 0.4, 2000)


@pytest.mark.parametrize(
    ("peaks", "grows"),
    [
        (((100, 100, 101), (100, 101, 100)), False),
        (((100, 100, 101), (104, 105, 104)), True),
        (((100, 100, 109), (104, 105, 104)), False),  # equal runs differ by more
        (((104, 105, 104), (100, 100, 101)), False),
    ],
)
def test_memory_grows_where_the_median_does_by_more_than_equal_runs_differ(
    peaks: tuple[tuple[int, ...], ...], grows: bool
) -> None:
    from certifying.memory import Growth, MemoryAt

    sizes = [MemoryAt(n=n, peaks=tuple(peak * 2**20 for peak in found)) for n, found in zip((1, 9), peaks, strict=True)]
    assert Growth(backend="any", sizes=tuple(sizes)).grows is grows
