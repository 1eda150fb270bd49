"""The radii of integer counts: closed forms, and the way back from a radius to its counts."""

import numpy as np
import pytest
from scipy import special

from purecert.engine.logs.fingerprint import TOLERANCE, fingerprint, top_of_fingerprint


@pytest.mark.parametrize("n", [100, 10_000, 100_000])
@pytest.mark.parametrize("alpha", [0.05, 1e-3])
def test_ceiling_has_a_closed_form(n: int, alpha: float) -> None:
    ceiling = fingerprint(n, alpha).radii(0.25)[-1]
    assert ceiling == pytest.approx(0.25 * special.ndtri(alpha ** (1 / n)), rel=1e-8)


@pytest.mark.parametrize("n", [100, 999, 10_000])
def test_least_certifying_count_is_the_least_that_an_exact_test_rejects(n: int) -> None:
    least = fingerprint(n, 1e-3).first_count
    # P(Binomial(n, 1/2) >= k) = I_{1/2}(k, n - k + 1)
    assert special.betainc(least, n - least + 1, 0.5) < 1e-3 <= special.betainc(least - 1, n - least + 2, 0.5)


def test_too_few_draws_certify_nothing() -> None:
    assert fingerprint(9, 1e-3).quantiles.size == 0


@pytest.mark.parametrize("sigma", [0.12, 1.0])
def test_each_radius_leads_back_to_its_count(sigma: float) -> None:
    marks = fingerprint(1000, 1e-3)
    radii = marks.radii(sigma)
    least, most = marks.counts_between(sigma, radii, radii)
    counts = np.arange(marks.first_count, 1001)
    assert np.array_equal(least, counts)
    assert np.array_equal(most, counts)


def test_interval_without_a_radius_has_no_count() -> None:
    marks = fingerprint(1000, 1e-3)
    radii = marks.radii(1.0)
    between = (radii[:-1] + radii[1:]) / 2
    narrow = TOLERANCE / 10
    least, most = marks.counts_between(1.0, between - narrow, between + narrow)
    assert (least > most).all()
    least, most = marks.counts_between(1.0, np.array([np.nan, 9.0]), np.array([np.nan, 9.1]))
    assert (least > most).all()


def test_top_of_a_fingerprint_is_its_end() -> None:
    whole, top = fingerprint(1000, 1e-3), top_of_fingerprint(1000, 1e-3, 64)
    assert np.array_equal(top.quantiles, whole.quantiles[-64:])
    assert top.first_count == 1000 - 63
