"""Rules that stop a certificate, against the bounds themselves."""

import numpy as np
import pytest
from scipy import special

from purecert.engine.errors import InputError
from purecert.engine.procedures.spec import SmoothingSpec, StopSpec
from purecert.engine.procedures.stopping import (
    RadiiRule,
    StopRule,
    ToleranceRule,
    count_rule,
    threshold_of,
)
from purecert.engine.statistics.anytime import anytime_lower, anytime_upper
from purecert.engine.statistics.bounds import clopper_pearson_lower

_RADII = (0.0, 0.25, 0.5, 0.75, 1.0)
_TV = 1e-6


def _spec(rule: str, *, radii: tuple[float, ...] = (), tolerance: float | None = None) -> SmoothingSpec:
    stop = StopSpec(rule=rule, radii=radii, tolerance=tolerance, alpha_final=5e-4)  # type: ignore[arg-type]
    return SmoothingSpec(mode="certify", sigma=0.5, n_estimate=10_000, alpha=1e-3, stop=stop)


_RADII_SPEC, _TOLERANCE_SPEC = _spec("radii", radii=_RADII), _spec("tolerance", tolerance=0.05)
_STATES = [(k, n) for n in (20, 200, 2_000, 10_000) for k in range(n // 3, n + 1, max(1, n // 60))]


def test_radii_stop_exactly_when_every_one_is_certified_or_refuted() -> None:
    rule, ideal = RadiiRule(_RADII_SPEC, _TV), special.ndtr(np.array(_RADII) / 0.5)
    settled = 0
    for k, n in _STATES:
        certified = anytime_lower(k, n, 5e-4) - _TV > ideal
        refuted = anytime_upper(k, n, 1e-3) + _TV < ideal
        assert (rule.remaining(k, n) == 0) == bool(np.all(certified | refuted)), (k, n)
        settled += bool(np.all(certified | refuted))
    assert 20 < settled < len(_STATES)


def test_tolerance_stops_when_the_radius_is_within_its_share_or_there_is_none() -> None:
    rule = ToleranceRule(_TOLERANCE_SPEC, _TV)
    settled = 0
    for k, n in _STATES:
        lower, upper = float(anytime_lower(k, n, 5e-4)) - _TV, float(anytime_upper(k, n, 1e-3))
        is_near = lower > 0.5 and special.ndtri(lower) >= 0.95 * special.ndtri(min(upper, 1.0))
        assert (rule.remaining(k, n) == 0) == (is_near or upper <= 0.5), (k, n)
        settled += is_near or upper <= 0.5
    assert 5 < settled < len(_STATES)


@pytest.mark.parametrize("rule", [RadiiRule(_RADII_SPEC, _TV), ToleranceRule(_TOLERANCE_SPEC, _TV)])
@pytest.mark.parametrize("p", [0.3, 0.5, 0.8, 0.95, 0.999, 1.0])
def test_no_path_stops_before_the_draws_that_are_said_to_remain(rule: StopRule, p: float) -> None:
    successes = np.append(0, np.cumsum(np.random.default_rng(9).random(120) < p))
    remaining = [rule.remaining(int(k), n) for n, k in enumerate(successes) if n]
    stops = [n for n, left in enumerate(remaining, 1) if left == 0]
    for n, left in enumerate(remaining, 1):
        assert not any(n < stop < n + left for stop in stops)


def test_radii_beyond_every_draw_are_left_out_and_none_that_can_be_reached_is_an_error() -> None:
    assert RadiiRule(_spec("radii", radii=(0.5, 5.0)), 0.0).remaining(2_000, 2_000) == 0
    with pytest.raises(InputError, match="expected a radius that 10000 draws can certify"):
        RadiiRule(_spec("radii", radii=(5.0,)), 0.0)


def test_a_listed_radius_that_is_certified_is_claimed_to_the_last_digit() -> None:
    rule = count_rule(_RADII_SPEC, 0.0)
    claimed = rule.listed_radius(9_900, 10_000)
    assert claimed == np.nextafter(1.0, 2.0)
    assert float(anytime_lower(9_900, 10_000, 5e-4)) > special.ndtr(claimed / 0.5)
    assert rule.listed_radius(5_000, 10_000) == 0
    assert count_rule(_TOLERANCE_SPEC, 0.0).listed_radius(9_900, 10_000) == 0


@pytest.mark.parametrize("radius", [0.0, 0.25, 1.0])
def test_a_threshold_is_above_the_probability_that_the_radius_needs(radius: float) -> None:
    assert threshold_of(radius, 0.5, _TV) > special.ndtr(radius / 0.5) + _TV
    assert threshold_of(radius, 0.5, _TV) <= special.ndtr(radius / 0.5) + _TV + 1.1e-9


def test_the_exact_bound_speaks_after_the_last_draw_alone() -> None:
    rule = count_rule(_RADII_SPEC, _TV)
    assert rule.p_lower(9_000, 10_000) == float(clopper_pearson_lower(9_000, 10_000, 5e-4))
    assert rule.p_lower(8_999, 9_999) == float(anytime_lower(8_999, 9_999, 5e-4))
