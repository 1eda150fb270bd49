"""A paired interval covers the mean of differences, image by image."""

import math

import numpy as np
import pytest

from purecert.train.measures.intervals import paired_difference


def test_it_is_the_adjusted_interval_of_matched_pairs() -> None:
    one, other = np.array([True, True, True, False]), np.array([True, False, False, False])
    found = paired_difference(one, other)
    # Two answered by one alone and none by the other, and half of one more each: 2.5 and .5 of 6.
    b, c, n = 2.5, 0.5, 6
    half = 1.96 * math.sqrt(b + c - (b - c) ** 2 / n) / n
    assert found.mean == 0.5
    assert found.low == pytest.approx((b - c) / n - half, abs=1e-4)
    assert found.high == pytest.approx((b - c) / n + half, abs=1e-4)


def test_where_no_image_differs_the_interval_has_a_width_and_stays_in_bounds() -> None:
    right = np.ones(50, bool)
    same, all_better = paired_difference(right, right), paired_difference(right, ~right)
    assert same.low == -same.high < 0
    assert (all_better.mean, all_better.high) == (1, 1)
    assert 0.85 < all_better.low < 1


@pytest.mark.parametrize(("n", "wins"), [(100, 0.01), (500, 0.004), (100, 0.1)])
def test_it_covers_the_truth_where_few_images_differ(n: int, wins: float) -> None:
    chance = np.random.default_rng(0)
    losses, runs, hits = wins / 4, 4000, 0
    for uniform in chance.random((runs, n)):
        found = paired_difference(uniform < wins, uniform > 1 - losses)
        hits += found.low <= wins - losses <= found.high
    assert hits / runs > 0.94


def test_seeds_are_averaged_before_the_spread_over_images_is_taken() -> None:
    one = np.array([[1, 0, 1], [0, 1, 1]])
    found = paired_difference(one, np.zeros((2, 3)))
    assert found == paired_difference(np.array([0.5, 0.5, 1.0]), np.zeros(3))


@pytest.mark.parametrize("shape", [(3,), (1,), (2, 2, 2)])
def test_other_images_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="the same images twice"):
        paired_difference(np.zeros((4,) if shape == (3,) else shape), np.zeros(shape))
