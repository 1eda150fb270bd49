"""The bound that holds at every look: published values, 50-digit arithmetic, and exact laws of paths."""

import csv
import math
from decimal import Decimal
from itertools import product
from pathlib import Path
from time import perf_counter

import mpmath
import numpy as np
import pytest
from scipy import special

from purecert.engine.statistics.anytime import Thresholds, anytime_lower, anytime_upper, log_e
from support.procedure_audit.crossing import least_successes, most_successes, published_rule, walk

_VECTORS = Path(__file__).parents[2] / "vectors" / "eprocess.csv"
_TRIALS = (1, 2, 10, 100, 1_000, 10_000, 100_000)
_SHARES = (0.01, 0.3, 0.5, 0.56, 0.7, 0.9, 0.99, 0.999, 1.0)
_COUNTS = sorted({(max(1, round(n * share)), n) for n in _TRIALS for share in _SHARES})
_NIGHTLY = (pytest.mark.slow, pytest.mark.nightly)
_HALF_SIGMA, _ONE_SIGMA, _TWO_SIGMA = (float(special.ndtr(r)) for r in (0.5, 1.0, 2.0))


def _exact_log_e(k: int, n: int, p: float | mpmath.mpf) -> mpmath.mpf:
    """Return ln E to 50 digits: the mixture's integral over (p, 1), by the prior's tail and the likelihood at p."""
    with mpmath.workdps(80):
        exact = mpmath.mpf(p)
        prior = 2 * mpmath.acos(mpmath.sqrt(exact))
        if n <= 100:
            tail = mpmath.betainc(k + mpmath.mpf(1) / 2, n - k + mpmath.mpf(1) / 2, exact, 1)
            return mpmath.log(tail / prior) - k * mpmath.log(exact) - (n - k) * mpmath.log1p(-exact)
        return _log_integral(k, n, 1 - exact) - mpmath.log(prior)


def _log_integral(k: int, n: int, x: mpmath.mpf) -> mpmath.mpf:
    """Return the logarithm of the integral of t^(n-k-1/2) (1-t)^(k-1/2) from 0 to x, over x^(n-k) (1-x)^k.

    By the series of all positive terms (DLMF 8.17.8), in whole numbers of 2^-400.
    """
    bits = 400
    factor, term = int(x * 2**bits), 1 << bits
    total, i = term, 0
    while term > 1 << 120:
        term = (term * factor >> bits) * (n + 1 + i) * 2 // (2 * (n - k + i) + 3)
        total, i = total + term, i + 1
    series = mpmath.mpf(total) / mpmath.mpf(2) ** bits
    return mpmath.log(series * mpmath.sqrt(x * (1 - x)) / (n - k + mpmath.mpf(1) / 2))


def test_every_published_row_is_met_within_1e_10_and_never_above_by_more_than_its_last_digit() -> None:
    rows = list(csv.DictReader(_VECTORS.read_text("ascii").splitlines()))
    assert len(rows) == 36
    for row in rows:
        published = Decimal(row["lower"])
        ours = Decimal(float(anytime_lower(int(row["k"]), int(row["n"]), float(row["alpha"]))))
        last_digit = Decimal(1).scaleb(published.as_tuple().exponent)  # type: ignore[arg-type]
        assert ours <= published + last_digit, row
        assert ours >= published * (1 - Decimal("1e-10")), row


@pytest.mark.parametrize("alpha", [0.05, 1e-3, 2e-6])
def test_bound_is_below_the_exact_root_by_at_most_1e_10(alpha: float) -> None:
    level = -mpmath.log(mpmath.mpf(alpha))
    for k, n in _COUNTS:
        lower = float(anytime_lower(k, n, alpha))
        # E falls through 1 / alpha once, so that a p where it is reached lies below the root, and any other above.
        assert _exact_log_e(k, n, lower) >= level, (k, n)
        assert _exact_log_e(k, n, mpmath.mpf(lower) * (1 + mpmath.mpf("1e-10"))) < level, (k, n)


def test_errors_of_ln_e_are_within_the_excess_that_is_asked_for() -> None:
    for k, n in _COUNTS:
        for alpha in (0.05, 1e-3, 2e-6):
            p = float(anytime_lower(k, n, alpha))
            excess = float(Thresholds(p, alpha).shortfall(k, n) + log_e(k, n, p)) + math.log(alpha)
            error = abs(float(log_e(k, n, p) - _exact_log_e(k, n, p)))
            assert error <= excess, (k, n, alpha)


@pytest.mark.parametrize("n", [1, 10, 100, 3_000])
def test_bound_grows_with_successes_and_is_below_their_share(n: int) -> None:
    k = np.arange(n + 1)
    lower = anytime_lower(k, n, 1e-3)
    assert lower[0] == 0
    assert np.all(np.diff(lower) > 0)
    assert np.all(lower[1:] < k[1:] / n)


def test_upper_bound_mirrors_the_lower_one() -> None:
    k = np.arange(101)
    upper = anytime_upper(k, 100, 1e-3)
    np.testing.assert_allclose(upper, 1 - anytime_lower(100 - k, 100, 1e-3), rtol=1e-15)
    assert np.all(upper > k / 100)
    assert upper[100] >= 1


@pytest.mark.parametrize("n", [1, 64, 1_000, 100_000])
def test_a_threshold_is_exceeded_exactly_from_the_bound_down(n: int) -> None:
    k = np.unique(np.linspace(1, n, 50).astype(np.int64))
    lower = anytime_lower(k, n, 1e-3)
    for successes, bound in zip(k, lower, strict=True):
        below, above = Thresholds([bound * (1 - 1e-10), bound * (1 + 1e-10)], 1e-3).shortfall(successes, n)
        assert below <= 0 < above


def test_extreme_thresholds_are_exceeded_by_any_success_or_never() -> None:
    shortfall = Thresholds([0.0, 1.0], 1e-3).shortfall([[1], [1_000]], [[1], [1_000]])
    assert np.all(shortfall[:, 0] <= 0)
    assert np.all(np.isposinf(shortfall[:, 1]))


def test_no_path_exceeds_a_threshold_in_fewer_draws_than_said() -> None:
    """Successes raise E more than failures, so paths of successes alone are the fastest: they are all tried."""
    thresholds = Thresholds(np.array([1e-9, 0.3, 0.5, 0.841, 0.977, 0.99999]), 1e-3)
    generator = np.random.default_rng(7)
    for n in (0, 1, 5, 40, 300, 5_000):
        for k in np.unique(generator.integers(0, n + 1, 20)):
            least = thresholds.least_draws(k, n)
            for column, further in enumerate(least):
                ahead = np.unique(np.linspace(0, max(further - 1, 0), 200).astype(np.int64))
                reached = thresholds.shortfall((k + ahead)[:, None], (n + ahead)[:, None])[:, column] <= 0
                assert not reached[ahead < further].any(), (k, n, column)


def test_among_all_short_paths_that_of_successes_is_the_fastest() -> None:
    thresholds = Thresholds(0.3, 0.05)
    for k, n in ((0, 0), (1, 3), (3, 4), (6, 9)):
        least = int(thresholds.least_draws(k, n))
        for path in product((0, 1), repeat=8):
            sums = k + np.cumsum(path)
            crossed = np.flatnonzero(thresholds.shortfall(sums, n + np.arange(1, 9)) <= 0)
            assert not crossed.size or crossed[0] + 1 >= least


@pytest.mark.parametrize(("p", "least_share"), [(0.5, 0), (0.691, 0.8), (0.841, 0.8), (0.977, 0.8), (0.999, 0)])
def test_exact_type_1_error_of_a_look_after_every_draw(p: float, least_share: float) -> None:
    error = walk(least_successes(p, 1e-3, np.arange(1, 10_001)), None, p).above
    assert least_share * 1e-3 <= error <= 1e-3


@pytest.mark.parametrize(
    ("threshold", "p", "published"),
    [
        *((_ONE_SIGMA, p, e) for p, e in ((0.9968, 54), (0.9683, 97))),
        (_TWO_SIGMA, 0.9954, 839),
        *(pytest.param(_ONE_SIGMA, p, e, marks=_NIGHTLY) for p, e in ((0.9207, 311), (0.8731, 2425))),
        *(pytest.param(_TWO_SIGMA, p, e, marks=_NIGHTLY) for p, e in ((0.9995, 457), (0.9886, 2749))),
    ],
)
def test_expected_draws_are_at_least_7_percent_below_the_published_rule(
    threshold: float, p: float, published: int
) -> None:
    draws = np.arange(1, 10_001)
    ours = walk(least_successes(threshold, 1e-3, draws), most_successes(threshold, 1e-3, draws), p)
    theirs = walk(*published_rule(threshold, 1e-3, draws), p)
    # A value of the literature, for thresholds of unknown rounding.
    assert theirs.draws == pytest.approx(published, rel=0.02)
    assert ours.draws <= 0.93 * theirs.draws


def test_law_of_a_walk_is_that_of_all_paths() -> None:
    above, below = np.array([2, 2, 3, 4]), np.array([-1, -1, 0, 1])
    p, crossed_above, crossed_below, draws = 0.3, 0.0, 0.0, 0.0
    for path in product((0, 1), repeat=4):
        weight = math.prod(p if success else 1 - p for success in path)
        sums = np.cumsum(path)
        stops = np.flatnonzero((sums >= above) | (sums <= below))
        end = int(stops[0]) if stops.size else 3
        crossed_above += weight * bool(sums[end] >= above[end])
        crossed_below += weight * bool(sums[end] <= below[end])
        draws += weight * (end + 1)
    found = walk(above, below, p)
    assert (found.above, found.below, found.draws) == pytest.approx((crossed_above, crossed_below, draws), rel=1e-14)


def test_looks_and_bounds_cost_little() -> None:
    """Ten times what `benchmarks/sequential.py` is to show on an idle core: this machine may be busy."""
    k = np.random.default_rng(8).binomial(10_000, 0.9, 2_000)
    thresholds = Thresholds(np.array([0.5, 0.69, 0.84, 0.93, 0.977]), 1e-3)
    began = perf_counter()
    thresholds.shortfall(k[:, None], 10_000)
    looked = perf_counter()
    anytime_lower(k, 10_000, 1e-3)
    assert (looked - began) / (5 * 2_000) < 30e-6
    assert (perf_counter() - looked) / 2_000 < 400e-6


@pytest.mark.parametrize(
    ("successes", "trials", "alpha", "words"),
    [(5, 4, 0.001, "successes <= trials"), (-1, 4, 0.001, "successes"), (0, 0, 0.001, "trials"), (1, 2, 1.0, "alpha")],
)
def test_arguments_out_of_range_are_refused(successes: int, trials: int, alpha: float, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        anytime_lower(successes, trials, alpha)


@pytest.mark.parametrize(("p", "alpha", "words"), [(1.1, 0.1, r"p in \[0, 1\]"), (0.5, 0.0, "alpha in")])
def test_thresholds_out_of_range_are_refused(p: float, alpha: float, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Thresholds(p, alpha)
