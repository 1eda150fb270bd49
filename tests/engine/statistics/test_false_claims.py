"""Bounds on false claims: against exact fractions and 50-digit sums."""

import math
from fractions import Fraction

import mpmath
import pytest

from purecert.engine.errors import InputError
from purecert.engine.statistics.false_claims import any_of_all, false_claims


@pytest.mark.parametrize("rho", [1e-3, 0.05])
@pytest.mark.parametrize(("images", "alpha"), [(1, 2e-3), (2, 1e-3), (100, 1e-3), (500, 0.01), (10_000, 1e-3)])
def test_number_is_the_least_that_is_exceeded_with_probability_rho(images: int, alpha: float, rho: float) -> None:
    number = false_claims(images, alpha, rho).number_at_most
    assert _exceeds(number, images, alpha) <= rho
    assert number == 0 or _exceeds(number - 1, images, alpha) > rho


def test_one_image_has_a_closed_form() -> None:
    # One claim at alpha = 0.01 is false with probability 0.01.
    assert false_claims(1, 0.01, 0.02).number_at_most == 0
    assert false_claims(1, 0.01, 0.005).number_at_most == 1
    assert false_claims(0, 0.01).number_at_most == 0


@pytest.mark.parametrize("images", [100, 500, 1_000, 10_000, 50_000])
def test_number_is_within_the_inequality_of_bernstein(images: int) -> None:
    alpha = rho = 1e-3
    spread = math.sqrt(2 * images * alpha * (1 - alpha) * math.log(1 / rho))
    assert false_claims(images, alpha, rho).number_at_most <= images * alpha + spread + math.log(1 / rho) / 3


def test_formula_without_the_factor_two_claims_too_much() -> None:
    images, alpha, rho = 10_000, 1e-3, 1e-3
    published = images * alpha + math.sqrt(images * alpha * (1 - alpha) * math.log(1 / rho)) + math.log(1 / rho) / 3
    assert _exceeds(math.floor(published), images, alpha) > 1.5 * rho
    assert false_claims(images, alpha, rho).number_at_most > published


def test_runs_together_have_the_union_bound() -> None:
    run = false_claims(500, 1e-3)
    exact = 3 * (1 - (1 - Fraction(1e-3)) ** 500)
    assert any_of_all([run] * 3) == pytest.approx(float(min(exact, Fraction(1))), rel=1e-12)
    assert any_of_all([run] * 2) == pytest.approx(float(exact * 2 / 3), rel=1e-12)


@pytest.mark.parametrize("rho", [0.0, 1.0, math.nan])
def test_rho_that_is_no_probability_is_refused(rho: float) -> None:
    with pytest.raises(InputError, match=r"--rho: expected a probability in \(0, 1\)"):
        false_claims(10, 1e-3, rho)


def _exceeds(number: int, images: int, alpha: float) -> float:
    """Return P(binomial(images, alpha) > number)."""
    with mpmath.workdps(50):
        p = mpmath.mpf(alpha)
        terms = (mpmath.binomial(images, j) * p**j * (1 - p) ** (images - j) for j in range(number + 1))
        return float(1 - mpmath.fsum(terms))
