"""Static placement, exactly: over draws of unlike laws no claim errs more often than alpha, at whole batches only."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import special

from purecert.engine.procedures.spec import SmoothingSpec, StopSpec
from purecert.engine.procedures.stopping import threshold_of
from purecert.engine.statistics.anytime import log_e
from purecert.engine.statistics.bounds import clopper_pearson_lower
from support.procedure_audit.unlike_draws import Looks, false_certificates, false_predictions, laws_of_mean

_RADII = (0.0, 0.1, 0.3)
_STOPS = {
    "fixed": None,
    "radii": StopSpec(rule="radii", radii=_RADII, alpha_refute=0.1),
    "tolerance": StopSpec(rule="tolerance", tolerance=0.5, alpha_refute=0.1),
}


def _spec(rule: str, alpha: float, batch: int, n: int) -> SmoothingSpec:
    stop = _STOPS[rule]
    if stop is not None:
        stop = replace(stop, alpha_final=alpha / 2)
    return SmoothingSpec(mode="certify", sigma=0.5, n_select=batch, n_estimate=n, alpha=alpha, stop=stop, step=batch)


def _means(spec: SmoothingSpec) -> list[float]:
    """Return means just below what is claimed: one half, the listed radii, and bounds of the last look."""
    claims = [float(clopper_pearson_lower(k, spec.n_estimate, spec.alpha)) for k in range(spec.n_estimate + 1)]
    last = [p * (1 - 1e-12) for p in claims if p > 0.5]
    return [0.5, *(float(special.ndtr(r / spec.sigma)) * (1 - 1e-12) for r in _RADII), *last[:: max(1, len(last) // 4)]]


@pytest.mark.parametrize("rule", _STOPS)
@pytest.mark.parametrize("batch", [2, 3, 5, 8])
def test_no_false_certificate_comes_more_often_than_alpha(rule: str, batch: int) -> None:
    random = np.random.default_rng(batch)
    for alpha in (0.25, 0.05):
        spec = _spec(rule, alpha, batch, 24 // batch * batch)
        looks = Looks(spec, batch)
        for p in _means(spec):
            for places in laws_of_mean(p, batch, random):
                assert false_certificates(spec, looks, places) <= alpha * (1 + 1e-9), (alpha, p, places)


def test_looks_and_ends_inside_batches_are_found_to_be_wrong() -> None:
    places = np.array([1.0] * 4 + [0.0] * 4)  # a mixture of exactly one half, of which nothing may be certified
    stop = StopSpec(rule="radii", radii=(0.0,), alpha_refute=0.1)
    early = replace(_spec("radii", 0.25, 8, 24), stop=stop)
    assert false_certificates(early, Looks(early, 8), places) == 0
    assert false_certificates(early, Looks(early, 1), places) == 1
    fixed = _spec("fixed", 0.25, 8, 24)
    assert false_certificates(fixed, Looks(fixed, 8), places) == 0
    inside = replace(fixed, step=1, n_estimate=12)
    assert false_certificates(inside, Looks(inside, 1), places) == 1


@pytest.mark.parametrize("batch", [2, 4, 8])
def test_no_false_prediction_comes_more_often_than_alpha(batch: int) -> None:
    for alpha in (0.25, 0.05):
        spec = SmoothingSpec(mode="predict", sigma=0.5, n_estimate=24, alpha=alpha, step=batch)
        half = batch // 2
        for places in (
            [(0.5, 0.5)] * batch,
            [(0.1, 0.1)] * batch,
            [(1.0, 0.0)] * half + [(0.0, 1.0)] * half,
            [(0.6, 0.0)] * half + [(0.0, 0.6)] * half,
            [(0.2, 0.0)] * (batch - 1) + [(0.0, min(1.0, 0.2 * (batch - 1)))],
        ):
            mean = np.mean(places, axis=0)
            shown = [(wrong * min(1.0, mean[1] / mean[0]), right) for wrong, right in places]
            assert false_predictions(spec, shown) <= alpha


def test_the_evidence_is_a_mixture_of_bets_that_do_not_change_with_the_draws() -> None:
    """E(p) against its integral over fixed lambda = (p' - p) / (p (1 - p)) >= 0, by quadrature over p' in (p, 1)."""
    for p, n in ((0.5, 12), (0.7, 20)):
        # p' = sin^2(t) turns Beta(1/2, 1/2) into the uniform law of t.
        t, weight = np.polynomial.legendre.leggauss(200)
        low = np.arcsin(np.sqrt(p))
        above = np.sin(low + (t + 1) / 2 * (np.pi / 2 - low)) ** 2
        bets = (above - p) / (p * (1 - p))
        assert (bets >= 0).all()
        assert (bets <= 1 / p).all()
        for k in range(n + 1):
            product = (1 + bets * (1 - p)) ** k * (1 - bets * p) ** (n - k)
            assert float(log_e(k, n, p)) == pytest.approx(np.log((weight / 2) @ product), abs=1e-9)


def test_every_listed_radius_asks_for_more_than_one_half() -> None:
    assert all(threshold_of(radius, sigma, 0.0) > 0.5 for radius in (0.0, 1e-300, 0.5) for sigma in (0.12, 1.0))
