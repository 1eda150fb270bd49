"""Static placement, exactly: over draws of unlike laws no claim errs more often than alpha, at whole batches only.

The procedures are the engine's own, driven through every history that their draws can show.
"""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from scipy import special

from purecert.engine.procedures import drawing
from purecert.engine.procedures.choosing import procedure_for
from purecert.engine.procedures.drawing import Draw, next_draw
from purecert.engine.procedures.outcomes import Certificate
from purecert.engine.procedures.spec import SmoothingSpec, StopSpec
from purecert.engine.procedures.stopping import threshold_of
from purecert.engine.statistics.anytime import log_e
from support.procedure_audit.driven import Paths, paths_of, remembered
from support.procedure_audit.unlike_draws import false_claims, laws_of_mean, shared_out, tied

_SIGMA, _ALPHAS = 0.5, (0.25, 0.05)
_RADII = StopSpec(rule="radii", radii=(0.0, 0.1, 0.3), alpha_refute=0.1)
_TOLERANCE = StopSpec(rule="tolerance", tolerance=0.5, alpha_refute=0.1)
_STOPS = {"fixed": None, "radii": _RADII, "tolerance": _TOLERANCE}
_EARLY = StopSpec(rule="answer", alpha_refute=0.1)
_LIKELY = StopSpec(rule="answer", alpha_refute=0.1, least_chance=0.05)


@pytest.fixture(scope="module", autouse=True)
def _remembering() -> Iterator[None]:
    with remembered():
        yield


def _spec(rule: str, alpha: float, batch: int, n: int, *, selects: bool) -> SmoothingSpec:
    stop = _STOPS[rule]
    if stop is not None:
        stop = replace(stop, alpha_final=alpha / 2)
    own = {"n_select": batch, "n_estimate": n, "step": batch, "against_label": not selects}
    return SmoothingSpec(mode="certify", sigma=_SIGMA, alpha=alpha, stop=stop, **own)  # type: ignore[arg-type]  # by name


def _paths(spec: SmoothingSpec, classes: int, *, invalid: bool = False) -> Paths:
    label = 0 if spec.against_label else None
    return paths_of(partial(procedure_for, spec, 0.0, label), classes, invalid=invalid)


def _means(paths: Paths) -> list[float]:
    """Return probabilities of a class just below what is claimed of one somewhere, and one half."""
    certificates = [end for end in paths.ended.values() if isinstance(end, Certificate)]
    claimed = sorted(
        {end.p_lower for end in certificates} | {float(special.ndtr(e.radius / _SIGMA)) for e in certificates}
    )
    claimed = [p * (1 - 1e-12) for p in claimed if p > 0.5]
    return [0.5, *claimed[:2], *claimed[2 :: max(1, len(claimed) // 5)]]


@pytest.mark.parametrize("rule", _STOPS)
@pytest.mark.parametrize(
    ("batch", "n", "classes"), [(2, 24, 0), (3, 24, 0), (5, 20, 0), (8, 24, 0), (2, 8, 3), (3, 9, 3), (4, 12, 2)]
)
def test_no_false_certificate_comes_more_often_than_alpha(rule: str, batch: int, n: int, classes: int) -> None:
    """Of 2 or 3 classes, of which draws of their own select one; of none, the class is given."""
    random, worst = np.random.default_rng(batch), 0.0
    for alpha in _ALPHAS:
        spec = _spec(rule, alpha, batch, n, selects=classes > 0)
        paths = _paths(spec, max(classes, 2))
        for p in _means(paths):
            for law in laws_of_mean(p, batch, random):
                places = shared_out(law, max(classes, 2), random)
                found = false_claims(paths, _SIGMA, places)
                assert found <= alpha * (1 + 1e-9), (alpha, p, places)
                worst = max(worst, found / alpha)
    assert worst > 0.1  # so that a claim which is false more often than it may be would show


@pytest.mark.parametrize(
    ("batch", "n", "classes", "stop"),
    [
        *((batch, 24, 2, None) for batch in (2, 4, 8)),
        (3, 12, 3, None),
        *((2, 12, 2, _EARLY), (4, 12, 2, _EARLY), (8, 24, 2, _EARLY), (2, 8, 3, _EARLY), (3, 9, 3, _EARLY)),
        *((2, 12, 2, _LIKELY), (8, 24, 2, _LIKELY), (2, 8, 3, _LIKELY), (3, 9, 3, _LIKELY)),
    ],
)
def test_no_false_prediction_comes_more_often_than_alpha(
    batch: int, n: int, classes: int, stop: StopSpec | None
) -> None:
    for alpha in _ALPHAS:
        spec = SmoothingSpec(
            mode="predict", sigma=_SIGMA, n_select=batch, n_estimate=n, alpha=alpha, step=batch, stop=stop
        )
        invalid = classes == 2 and batch < 8  # where more would take long
        paths = _paths(spec, classes, invalid=invalid)
        for places in tied(classes, batch):
            if invalid or not any(place[-1] for place in places):
                assert sum(likely for likely, _ in paths.probabilities(places)) == pytest.approx(1)
                assert false_claims(paths, _SIGMA, places) <= alpha


def _inside_batches(least: int, n: int, n_max: int, _step: int = 1, *, is_exact: bool) -> Draw:
    return next_draw(least, n, n_max, is_exact=is_exact)


def test_looks_and_ends_inside_batches_are_found_to_be_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of the places are sure of class 0 and half of class 1: of that mixture nothing may be claimed."""
    places = tied(2, 8)[2]
    early = replace(_spec("radii", 0.25, 8, 24, selects=True), stop=replace(_RADII, radii=(0.0,)))
    answer = replace(early, mode="predict", stop=_EARLY)
    fixed = _spec("fixed", 0.25, 8, 24, selects=True)
    for spec in (early, answer, fixed):
        assert false_claims(_paths(spec, 2), _SIGMA, places) == 0
    assert false_claims(_paths(replace(fixed, step=1, n_estimate=12), 2), _SIGMA, places) == 1
    monkeypatch.setattr(drawing, "next_draw", _inside_batches)
    for spec in (early, answer):
        assert false_claims(_paths(spec, 2), _SIGMA, places) == 1


def test_looks_inside_batches_are_found_where_a_tolerance_ends_the_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    """While all draws agree no tolerance is reached; so one place is of class 1, and eight of class 0 follow."""
    zero, one = (1.0, 0.0, 0.0), (0.0, 1.0, 0.0)
    places = (one, *(zero,) * 8, *(one,) * 7)
    stop = replace(_TOLERANCE, tolerance=0.99)
    spec = replace(_spec("tolerance", 0.25, 16, 16, selects=False), stop=stop)
    assert false_claims(_paths(spec, 2), _SIGMA, places) == 0
    monkeypatch.setattr(drawing, "next_draw", _inside_batches)
    assert false_claims(_paths(spec, 2), _SIGMA, places) == 1


def test_looks_inside_batches_are_found_among_three_classes_too(monkeypatch: pytest.MonkeyPatch) -> None:
    places = tuple((*place[:2], 0.0, 0.0) for place in tied(2, 8)[2])
    spec = SmoothingSpec(mode="predict", sigma=_SIGMA, n_select=8, n_estimate=8, alpha=0.25, step=8, stop=_EARLY)
    assert false_claims(_paths(spec, 3), _SIGMA, places) == 0
    monkeypatch.setattr(drawing, "next_draw", _inside_batches)
    assert false_claims(_paths(spec, 3), _SIGMA, places) == 1


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
