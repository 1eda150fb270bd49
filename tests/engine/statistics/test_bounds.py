"""Bounds against 30-digit values, closed forms, published counts and mpmath."""

import csv
import math
from decimal import Decimal
from pathlib import Path

import mpmath
import numpy as np
import pytest

from purecert.engine.reports.text import format_radius
from purecert.engine.statistics.bounds import (
    certified_radius,
    clopper_pearson_lower,
    equal_odds_p_value,
    subtract_budget,
)
from support.procedure_audit.truth import binomial_tail
from support.shared_files import shared

_VECTORS = Path(__file__).parents[2] / "vectors" / "clopper_pearson.csv"


def test_every_published_row_is_met_from_below_within_2e_12() -> None:
    rows = list(csv.DictReader(_VECTORS.read_text("ascii").splitlines()))
    assert len(rows) > 100
    for row in rows:
        exact = Decimal(row["clopper_pearson_lower"])
        ours = Decimal(float(clopper_pearson_lower(int(row["k"]), int(row["n"]), float(row["alpha"]))))
        assert ours <= exact, row
        assert ours >= exact * (1 - Decimal("2e-12")), row


@pytest.mark.parametrize("trials", [1, 100, 100_000])
def test_all_successes_has_a_closed_form(trials: int) -> None:
    assert float(clopper_pearson_lower(trials, trials, 1e-3)) == pytest.approx(1e-3 ** (1 / trials), rel=2e-12)


@pytest.mark.parametrize(
    ("successes", "trials", "alpha"),
    [(99_001, 100_000, 2e-6), (99_001, 100_000, 1e-10), (1_000, 1_000_000, 2e-6), (90_502, 1_000_000, 1e-4)],
)
def test_bound_is_met_from_below_where_scipys_inverse_ends_above(successes: int, trials: int, alpha: float) -> None:
    bound = float(clopper_pearson_lower(successes, trials, alpha))
    assert binomial_tail(successes, trials, bound) < alpha
    assert binomial_tail(successes, trials, bound * (1 + 2e-12)) > alpha


def test_bound_is_safe_where_scipys_inverse_ends_at_0() -> None:
    bound = float(clopper_pearson_lower(1_000, 10**9, 1e-3))
    assert bound == 0 or binomial_tail(1_000, 10**9, bound) < 1e-3


def test_no_success_bounds_nothing() -> None:
    assert float(clopper_pearson_lower(0, 100, 1e-3)) == 0.0


def test_bound_grows_with_successes() -> None:
    bounds = clopper_pearson_lower(np.arange(1001), 1000, 1e-3)
    assert np.all(np.diff(bounds) > 0)


@pytest.mark.shared
def test_counts_of_published_logs_invert_to_integers() -> None:
    trials, alpha = 50_000, 0.0005
    texts = [path.read_text() for path in shared("data/logs/dsrs").glob("*.txt")]
    rows = [line.split() for text in texts for line in text.splitlines() if line[:2] == "o "]
    assert len(rows) >= 100
    # Two-sided in the logs: half of alpha below, as in a one-sided bound at alpha / 2.
    bounds = clopper_pearson_lower(np.arange(trials + 1), trials, alpha / 2)
    printed = np.array([float(row[2]) for row in rows])
    nearest = bounds[np.clip(np.searchsorted(bounds, printed * (1 - 1e-9)), 0, trials)]
    np.testing.assert_allclose(nearest, printed, rtol=1e-11, atol=1e-14)


@pytest.mark.parametrize(
    ("step", "sigma"),
    [
        *((50, sigma) for sigma in (0.25, 0.5, 1.0)),
        pytest.param(1, 0.25, marks=pytest.mark.slow),
        *(pytest.param(1, sigma, marks=[pytest.mark.slow, pytest.mark.nightly]) for sigma in (0.5, 1.0)),
    ],
)
def test_printed_radius_is_never_above_the_true_one(sigma: float, step: int) -> None:
    trials = 100_000
    successes = np.arange(trials, trials // 2 - 1, -step)  # all successes are among them
    p_lower = clopper_pearson_lower(successes, trials, 1e-3)
    radii = certified_radius(sigma, p_lower)
    with mpmath.workdps(30):
        for p, radius in zip(p_lower[radii > 0], radii[radii > 0], strict=True):
            # Phi(printed / sigma) <= p says the same as printed <= sigma Phi^-1(p), without inverting.
            printed = mpmath.mpf(format_radius(float(radius)))
            assert mpmath.ncdf(printed / mpmath.mpf(sigma)) <= mpmath.mpf(float(p))


def test_radius_before_printing_is_never_above_the_true_one() -> None:
    p_lower = np.concatenate([np.linspace(0.5, 0.99999, 3000), 0.5 + np.logspace(-15, -2, 500)])
    with mpmath.workdps(30):
        for p, radius in zip(p_lower, certified_radius(0.5, p_lower), strict=True):
            assert radius == 0 or mpmath.ncdf(2 * mpmath.mpf(float(radius))) <= mpmath.mpf(float(p))


def test_radius_is_not_needlessly_small() -> None:
    with mpmath.workdps(30):
        for p in (0.51, 0.9, 0.999, 0.99993):
            exact = mpmath.sqrt(2) * mpmath.erfinv(2 * mpmath.mpf(p) - 1)
            assert float(certified_radius(1.0, p)) == pytest.approx(float(exact), rel=2e-12)


def test_half_or_less_certifies_nothing() -> None:
    np.testing.assert_array_equal(certified_radius(1.0, [0.0, 0.3, 0.5]), 0.0)


def test_budget_is_subtracted_downwards() -> None:
    lowered = subtract_budget([0.9, 1e-20], 1e-10)
    assert Decimal(float(lowered[0])) <= Decimal.from_float(0.9) - Decimal.from_float(1e-10)
    assert lowered[1] == 0.0


def test_equal_odds_p_value_equals_the_binomial_sum() -> None:
    for top, runner_up in [(1, 0), (9, 1), (60, 40), (700, 300), (501, 499)]:
        trials = top + runner_up
        with mpmath.workdps(40):
            tail = mpmath.fsum(mpmath.binomial(trials, k) for k in range(top, trials + 1)) / mpmath.mpf(2) ** trials
            exact = min(mpmath.mpf(1), 2 * tail)
            ours = equal_odds_p_value(top, runner_up)
            assert float(exact) <= ours <= float(exact * (1 + mpmath.mpf("3e-12")))
    assert equal_odds_p_value(5, 5) == 1.0


def test_a_p_value_too_small_for_doubles_is_not_0() -> None:
    assert equal_odds_p_value(100_000, 0) == 1e-60


@pytest.mark.parametrize(
    ("successes", "trials", "alpha", "words"),
    [(5, 4, 0.001, "successes <= trials"), (-1, 4, 0.001, "successes"), (1, 0, 0.001, "trials"), (1, 2, 0.0, "alpha")],
)
def test_arguments_out_of_range_are_refused(successes: int, trials: int, alpha: float, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        clopper_pearson_lower(successes, trials, alpha)


@pytest.mark.parametrize("p_lower", [1.0, -0.1, float("nan")])
def test_a_probability_outside_its_range_has_no_radius(p_lower: float) -> None:
    with pytest.raises(ValueError, match="p_lower in"):
        certified_radius(1.0, p_lower)


@pytest.mark.parametrize(
    ("radius", "printed"), [(0.95289, "0.9528"), (0.9999999, "0.9999"), (0.5, "0.5000"), (3.81145, "3.8114")]
)
def test_radius_prints_rounded_down(radius: float, printed: str) -> None:
    assert format_radius(radius) == printed


@pytest.mark.parametrize("alpha", [0.0, 1.0, 1e-101, 1.08031100493458e-247])
def test_an_alpha_at_which_the_tail_is_lost_is_refused(alpha: float) -> None:
    """Of 10,000 draws the last one would give .93161 for 9,964 successes, above the exact bound."""
    with pytest.raises(ValueError, match=r"alpha in \[1e-100, 1\)"):
        clopper_pearson_lower(9964, 10_000, alpha)


@pytest.mark.parametrize("trials", [math.inf, math.nan])
def test_trials_that_are_no_number_are_refused(trials: float) -> None:
    with pytest.raises(ValueError, match="trials >= 1"):
        clopper_pearson_lower(1, trials, 1e-3)


@pytest.mark.parametrize(("successes", "trials"), [(9964, 10_000), (99_963, 100_000), (70, 100), (3, 5), (2, 10)])
def test_at_the_least_alpha_the_bound_is_below_the_exact_one(successes: int, trials: int) -> None:
    bound = float(clopper_pearson_lower(successes, trials, 1e-100))
    assert bound > 0
    with mpmath.workdps(60):
        tail = mpmath.betainc(successes, trials - successes + 1, 0, bound, regularized=True)
        assert tail <= mpmath.mpf("1e-100")
