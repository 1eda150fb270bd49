"""A paired interval is that of the mean of differences, image by image."""

import math

import numpy as np
import pytest

from purecert.train.measures.intervals import paired_difference


def test_it_is_the_interval_of_the_differences() -> None:
    one, other = np.array([True, True, True, False]), np.array([True, False, False, False])
    found = paired_difference(one, other)  # differences 0, 1, 1, 0: mean .5, variance 1/3
    half = 1.96 * math.sqrt(1 / 3 / 4)
    assert (found.mean, found.low, found.high) == (
        0.5,
        pytest.approx(0.5 - half, abs=1e-4),
        pytest.approx(0.5 + half, abs=1e-4),
    )


def test_what_both_get_wrong_or_right_adds_no_spread() -> None:
    right = np.random.default_rng(0).random(1000) < 0.5
    assert paired_difference(right, right).high == 0


def test_seeds_are_averaged_before_the_spread_over_images_is_taken() -> None:
    one = np.array([[1, 0, 1], [0, 1, 1]])
    found = paired_difference(one, np.zeros((2, 3)))
    assert found == paired_difference(np.array([0.5, 0.5, 1.0]), np.zeros(3))


@pytest.mark.parametrize("shape", [(3,), (1,), (2, 2, 2)])
def test_other_images_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="the same images twice"):
        paired_difference(np.zeros((4,) if shape == (3,) else shape), np.zeros(shape))
