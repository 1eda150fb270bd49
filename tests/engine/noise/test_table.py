"""The thresholds against plain evaluation, and the total variation that they leave."""

import math
from fractions import Fraction

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from purecert.engine.errors import InputError
from purecert.engine.noise.table import NoiseTable, extra_noise, smoothing_noise


def test_the_table_equals_a_plain_evaluation_at_200_digits() -> None:
    table = smoothing_noise(0.12)
    with mpmath.workdps(200):
        s = 255 * mpmath.mpf(0.12)
        expected = [
            int(mpmath.floor(2**64 * mpmath.ncdf((j + mpmath.mpf(1) / 2) / s)))
            for j in range(-table.reach, table.reach)
        ]
    assert table.thresholds.tolist() == expected


@pytest.mark.parametrize("sigma", [0.0003, 0.05, 0.25, 1.0])
def test_reach_is_the_least_that_leaves_less_than_one_part_in_2_to_64(sigma: float) -> None:
    table = smoothing_noise(sigma)
    with mpmath.workdps(60):
        s = 255 * mpmath.mpf(sigma)

        def tail(j: int) -> mpmath.mpf:
            return 2**64 * mpmath.ncdf(-(j + mpmath.mpf(1) / 2) / s)

        assert tail(table.reach) < 1 <= tail(table.reach - 1)


@settings(max_examples=20, deadline=None)
@given(st.floats(1e-300, 0.5))
def test_a_table_is_sorted_symmetric_and_inside_the_range(sigma: float) -> None:
    table = smoothing_noise(sigma)
    thresholds = table.thresholds.tolist()
    assert len(thresholds) == 2 * table.reach
    assert thresholds == sorted(thresholds)
    assert all(lower + upper == 2**64 - 1 for lower, upper in zip(thresholds, reversed(thresholds), strict=True))
    assert all(0 < threshold < 2**64 for threshold in thresholds)


def test_sigma_is_taken_as_the_exact_double_times_255() -> None:
    assert smoothing_noise(0.1).scale == 255 * Fraction(0.1) != Fraction(255 * 0.1)
    assert extra_noise().scale == 256


def test_noise_too_small_to_leave_its_pixel_has_no_thresholds() -> None:
    for sigma in (5e-324, 1e-5):
        assert smoothing_noise(sigma).reach == 0
        assert smoothing_noise(sigma).thresholds.size == 0


def test_the_largest_sigma_still_fits_16_bits() -> None:
    assert smoothing_noise(14.15).reach <= 32767
    with pytest.raises(InputError, match=r"sigma at most 14\.15 .* got sigma = 14\.16"):
        smoothing_noise(14.16)


@pytest.mark.parametrize("sigma", [0.0, -0.5, math.inf, -math.inf, math.nan])
def test_a_sigma_that_is_no_noise_level_is_refused(sigma: float) -> None:
    with pytest.raises(InputError, match="finite number > 0 in pixel units"):
        smoothing_noise(sigma)


@pytest.mark.parametrize("scale", [Fraction(0), Fraction(-1)])
def test_a_scale_that_is_no_noise_level_is_refused(scale: Fraction) -> None:
    with pytest.raises(InputError, match="noise scale > 0"):
        NoiseTable(scale=scale)


def test_the_table_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="read-only"):
        smoothing_noise(0.25).thresholds[0] = 7


@settings(max_examples=50, deadline=None)
@given(sigma=st.sampled_from([0.001, 0.12, 0.25, 1.0]), elements=st.integers(0, 2**40))
def test_the_budget_is_the_formula_rounded_up_by_less_than_two_units(sigma: float, elements: int) -> None:
    table = smoothing_noise(sigma)
    exact = Fraction(elements * (2 * table.reach + 4), 2**65)
    budget = table.tv_budget(elements)
    assert Fraction(budget) >= exact
    assert Fraction(math.nextafter(budget, -math.inf)) < exact or budget == 0 == elements


@pytest.mark.parametrize("sigma", [0.0001, 0.0003, 0.01, 0.12])
def test_the_budget_covers_the_total_variation_of_one_value(sigma: float) -> None:
    table = smoothing_noise(sigma)
    edges = [0, *table.thresholds.tolist(), 2**64]
    with mpmath.workdps(60):
        s = 255 * mpmath.mpf(sigma)

        def mass(q: int) -> mpmath.mpf:
            return mpmath.ncdf((q + mpmath.mpf(1) / 2) / s) - mpmath.ncdf((q - mpmath.mpf(1) / 2) / s)

        inner = [
            abs(mpmath.mpf(edges[index + 1] - edges[index]) / 2**64 - mass(index - table.reach))
            for index in range(2 * table.reach + 1)
        ]
        tails = 2 * mpmath.ncdf(-(table.reach + mpmath.mpf(1) / 2) / s)
        assert (mpmath.fsum(inner) + tails) / 2 <= table.tv_budget(1)


def test_a_negative_number_of_elements_is_refused() -> None:
    with pytest.raises(InputError, match="elements >= 0, got -1"):
        smoothing_noise(0.25).tv_budget(-1)


def test_tables_of_one_scale_are_equal_and_share_their_thresholds() -> None:
    assert smoothing_noise(0.25) == smoothing_noise(0.25)
    assert smoothing_noise(0.25).thresholds is smoothing_noise(0.25).thresholds
    assert smoothing_noise(0.25) != smoothing_noise(0.5)
    assert smoothing_noise(0.25).thresholds.dtype == np.uint64
