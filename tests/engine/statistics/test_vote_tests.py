"""Tests of votes that were drawn twice, against sums over every case in whole numbers."""

from fractions import Fraction
from itertools import product
from math import comb

import numpy as np
import pytest

from purecert.engine.statistics.sampling_odds import escape_probability
from purecert.engine.statistics.vote_tests import (
    at_least_so_many_p_value,
    leaning_p_value,
    sign_flip_p_value,
    standard_error_difference,
    stratified_p_value,
)


def _stratified(a: list[int], m: list[int], b: list[int], n: list[int], *, upward_only: bool) -> float:
    law = {0: Fraction(1)}
    for votes, draws, others, other_draws in zip(a, m, b, n, strict=True):
        total, summed = votes + others, dict[int, Fraction]()
        for k in range(max(0, total - other_draws), min(total, draws) + 1):
            p = Fraction(comb(draws, k) * comb(other_draws, total - k), comb(draws + other_draws, total))
            for value, chance in law.items():
                summed[value + k] = summed.get(value + k, Fraction(0)) + p * chance
        law = summed
    upper = sum(chance for value, chance in law.items() if value >= sum(a))
    lower = sum(chance for value, chance in law.items() if value <= sum(a))
    return float(min(1, upper if upward_only else 2 * min(upper, lower)))


@pytest.mark.parametrize("upward_only", [False, True])
def test_the_stratified_test_is_the_sum_over_every_case(upward_only: bool) -> None:
    generator = np.random.default_rng(4)
    for _ in range(30):
        m, n = ([int(x) for x in generator.integers(1, 25, 4)] for _ in range(2))
        a, b = ([int(generator.binomial(x, p)) for x in draws] for draws, p in ((m, 0.7), (n, 0.6)))
        expected = _stratified(a, m, b, n, upward_only=upward_only)
        assert stratified_p_value(a, m, b, n, upward_only=upward_only) == pytest.approx(expected, rel=1e-9, abs=3e-12)


def test_the_stratified_test_holds_at_the_largest_runs() -> None:
    """500 images at n = 100,000: the normal law, corrected for whole numbers, is as good as exact there."""
    n, p, shift = [100_000] * 500, 0.9, 20_000
    votes = [int(p * 100_000)] * 500
    ahead = [count + shift // 500 for count in votes]
    totals = np.array(ahead) + np.array(votes)
    spread = np.sqrt(np.sum(totals * (200_000 - totals) / 4 / 199_999))
    z = (shift / 2 - 0.5) / spread
    expected = float(np.exp(-(z**2) / 2) / (z * np.sqrt(2 * np.pi)) * (1 - 1 / z**2 + 3 / z**4))
    assert stratified_p_value(ahead, n, votes, n, upward_only=True) == pytest.approx(expected, rel=0.02)


def test_sign_flips_are_the_share_of_all_signs_whose_sum_is_as_large() -> None:
    for seed in range(20):
        differences = np.random.default_rng(seed).normal(0.3, 2, 9)
        steps = np.clip(np.rint(differences * 16), -128, 128)
        sums = [np.dot(signs, abs(steps)) for signs in product((-1, 1), repeat=9)]
        assert sign_flip_p_value(list(differences)) == pytest.approx(np.mean(np.array(sums) >= steps.sum()), rel=1e-8)
    assert sign_flip_p_value([1.0] * 19) > 1e-6 >= sign_flip_p_value([1.0] * 20)
    assert sign_flip_p_value([]) == sign_flip_p_value([0.0, 0.0]) == sign_flip_p_value([-9.0] * 30) == 1.0


def test_a_lean_is_likely_where_many_differing_votes_may_hide() -> None:
    for at_most in (7, 8, 30):
        for net in range(1, at_most + 1):
            upper = [sum(comb(n, k) for k in range(n + 1) if 2 * k - n >= net) / 2**n for n in range(net, at_most + 1)]
            assert leaning_p_value(net, at_most) >= max(upper) * (1 - 1e-12)
    assert leaning_p_value(500, 500) < 1e-100
    assert leaning_p_value(0, 500) == leaning_p_value(-3, 0) == 1.0
    assert leaning_p_value(30, 500, 0.55) > leaning_p_value(30, 500)
    with pytest.raises(ValueError, match="a net of at most 3"):
        leaning_p_value(4, 3)


def test_counts_that_no_draws_give_are_refused() -> None:
    with pytest.raises(ValueError, match="votes in"):
        stratified_p_value([5], [4], [1], [4])
    assert stratified_p_value([], [], [], []) == 1.0


def test_the_other_odds_have_closed_forms() -> None:
    assert at_least_so_many_p_value(1, 30, 1e-3) == pytest.approx(1 - (1 - 1e-3) ** 30, rel=1e-8)
    assert at_least_so_many_p_value(0, 30, 1e-3) == at_least_so_many_p_value(3, 30, 2.0) == 1.0
    assert standard_error_difference(50, 100, 40, 100) == pytest.approx(0.1 / (0.45 * 0.55 * 0.02) ** 0.5)
    assert standard_error_difference(7, 7, 9, 9) == 0.0


def test_the_odds_of_escape_are_hypergeometric_and_rounded_up() -> None:
    for rows, wrong, checked in product(range(1, 13), repeat=3):
        if wrong > rows or checked > rows:
            continue
        exact = Fraction(comb(rows - wrong, checked), comb(rows, checked))
        found = escape_probability(rows, wrong, checked)
        assert float(exact) <= found <= float(exact) * (1 + 1e-8)
    with pytest.raises(ValueError, match="wrong and checked"):
        escape_probability(3, 4, 1)
