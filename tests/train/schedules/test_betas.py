"""The schedules of DDPMs and the choice of their time agree with the published programs."""

import math

import numpy as np
import pytest

from purecert.engine.errors import InputError
from purecert.train.schedules.betas import (
    BetaSchedule,
    DiffusionRule,
    alphas_cumprod,
    choose_step,
    closed_form_time,
    noise_ratio,
)
from support.golden import table

_SCHEDULES: dict[str, tuple[BetaSchedule, int]] = {"cosine_4000": ("cosine", 4000), "linear_1000": ("linear", 1000)}


@pytest.mark.shared
def test_the_products_are_the_published_ones() -> None:
    rows = table("ddpm_alphas_cumprod")
    assert {(row["schedule"], int(row["T"])) for row in rows} == set(_SCHEDULES.values())
    for row in rows:
        abar = alphas_cumprod("linear" if row["schedule"] == "linear" else "cosine", int(row["T"]))[int(row["t"])]
        assert abar == pytest.approx(float(row["alphas_cumprod"]), rel=1e-9)
        assert math.sqrt(abar) == pytest.approx(float(row["sqrt_alphas_cumprod"]), rel=1e-9)
        assert math.sqrt(1 - abar) == pytest.approx(float(row["sqrt_one_minus_alphas_cumprod"]), rel=1e-9)


@pytest.mark.shared
@pytest.mark.parametrize("name", _SCHEDULES)
@pytest.mark.parametrize("program", ["dds_loop", "multiscale"])
def test_the_first_time_above_is_the_published_one(program: str, name: str) -> None:
    rows = [row for row in table("timesteps") if row["rule"] == f"{program}_{name}"]
    assert len(rows) == 7
    for row in rows:
        t = choose_step(float(row["sigma"]), "first-above", *_SCHEDULES[name])
        assert t == int(row["t_or_index"])
        _check_level(row, t, *_SCHEDULES[name])


@pytest.mark.shared
def test_the_closed_form_rounds_to_the_published_time() -> None:
    rows = [row for row in table("timesteps") if row["rule"] == "densepure_closed_cosine_4000"]
    assert len(rows) == 7
    for row in rows:
        t = choose_step(float(row["sigma"]), "closed-form", "cosine", 4000)
        assert t == int(row["t_or_index"])
        _check_level(row, t, "cosine", 4000)


def _check_level(row: dict[str, str], t: int, schedule: BetaSchedule, steps: int) -> None:
    """Compare the noise that the time stands for."""
    level = noise_ratio(schedule, steps, t)
    assert level == pytest.approx(float(row["sigma_on_minus1_1"]), rel=1e-9)
    assert level / 2 == pytest.approx(float(row["sigma_on_0_1"]), rel=1e-9)


@pytest.mark.shared
def test_the_closed_form_before_rounding_is_the_published_one() -> None:
    rows = [row for row in table("timesteps") if row["rule"] == "densepure_closed_cosine_4000_unrounded"]
    assert len(rows) == 7
    for row in rows:
        t = closed_form_time(float(row["sigma"]), "cosine", 4000)
        assert t == pytest.approx(float(row["t_or_index"]), rel=1e-9)
        # abar of that t by the cosine itself, scaled to 1 at t = 0: the noise is exactly 2 sigma.
        share = math.cos((t / 4000 + 0.008) / 1.008 * math.pi / 2) / math.cos(0.008 / 1.008 * math.pi / 2)
        assert math.sqrt(1 / share**2 - 1) == pytest.approx(float(row["sigma_on_minus1_1"]), rel=1e-9)


@pytest.mark.parametrize("name", _SCHEDULES)
def test_no_earlier_time_has_enough_noise(name: str) -> None:
    schedule, steps = _SCHEDULES[name]
    for sigma in np.geomspace(0.001, noise_ratio(schedule, steps, steps - 1) / 2, 200).tolist():
        t = choose_step(sigma, "first-above", schedule, steps)
        assert noise_ratio(schedule, steps, t) >= 2 * sigma
        assert t == 1 or noise_ratio(schedule, steps, t - 1) < 2 * sigma


@pytest.mark.parametrize("steps", [50, 1000, 4000])
def test_the_closed_form_is_0_or_1_after_the_loop(steps: int) -> None:
    for sigma in np.geomspace(0.05, 4, 100).tolist():
        later = choose_step(sigma, "closed-form", "cosine", steps)
        assert later - choose_step(sigma, "first-above", "cosine", steps) in (0, 1)


def test_no_noise_is_the_first_time_of_each_rule() -> None:
    assert choose_step(0.0, "first-above", "cosine", 4000) == 1  # the published loop starts there
    assert choose_step(0.0, "closed-form", "cosine", 4000) == 0


@pytest.mark.parametrize("rule", ["first-above", "closed-form"])
def test_the_most_noise_is_the_last_time(rule: DiffusionRule) -> None:
    highest = noise_ratio("cosine", 4000, 3999) / 2
    assert choose_step(highest, rule, "cosine", 4000) == 3999
    with pytest.raises(InputError, match="more noise than the schedule has; use sigma <="):
        choose_step(math.nextafter(highest, math.inf), rule, "cosine", 4000)


@pytest.mark.parametrize(("sigma", "words"), [(-0.1, "at least 0"), (math.nan, "finite"), (math.inf, "finite")])
def test_noise_that_is_none_is_refused(sigma: float, words: str) -> None:
    with pytest.raises(InputError, match=words):
        choose_step(sigma, "first-above", "linear", 1000)


def test_the_closed_form_of_another_schedule_is_refused() -> None:
    with pytest.raises(InputError, match="holds for the cosine schedule, not linear; use first-above"):
        choose_step(0.25, "closed-form", "linear", 1000)


def test_a_caller_cannot_change_the_schedule_of_others() -> None:
    with pytest.raises(ValueError, match="read-only"):
        alphas_cumprod("linear", 1000)[0] = 0.0
