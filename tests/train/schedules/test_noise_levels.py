"""Grids, time rules and training schedules agree with published tables and closed forms."""

import math

import pytest
import torch
from scipy.special import ndtr

from purecert.engine.errors import InputError
from purecert.train.schedules.noise_levels import (
    Curriculum,
    LognormalTimes,
    NoiseRange,
    TimeRule,
    choose_time,
    ema_decay,
)
from support.golden import table


@pytest.mark.shared
def test_the_grid_is_the_published_one() -> None:
    rows = table("karras_grids")
    assert {int(row["n"]) for row in rows} == {18, 40, 81}
    for row in rows:
        found = NoiseRange().grid(int(row["n"]))[int(row["index"])]
        assert found == pytest.approx(float(row["t"]), rel=1e-12)


@pytest.mark.shared
@pytest.mark.parametrize("rule", ["nearest-2sigma", "nearest-sigma"])
def test_the_nearest_grid_point_is_the_published_one(rule: TimeRule) -> None:
    suffix = "_nearest_to_" + rule.removeprefix("nearest-")
    rows = [row for row in table("timesteps") if row["rule"].startswith("grid_") and row["rule"].endswith(suffix)]
    assert len(rows) == 3 * 7
    for row in rows:
        points = int(row["rule"].split("_")[1])
        found = choose_time(float(row["sigma"]), rule, NoiseRange(), points)
        assert found == pytest.approx(float(row["sigma_on_minus1_1"]), rel=1e-9)
        assert found / 2 == pytest.approx(float(row["sigma_on_0_1"]), rel=1e-9)
        assert found == NoiseRange().grid(points)[int(row["t_or_index"])]


@pytest.mark.shared
def test_the_published_times_are_all_compared() -> None:
    compared = {"grid": 6, "dds": 2, "multiscale": 2, "densepure": 2}  # here and in test_betas.py
    rules = {row["rule"] for row in table("timesteps")}
    assert {name: sum(rule.startswith(f"{name}_") for rule in rules) for name in compared} == compared
    assert len(rules) == sum(compared.values())


@pytest.mark.parametrize("points", [2, 3, 18])
def test_the_ascending_grid_is_the_same_grid(points: int) -> None:
    ascending = NoiseRange(t_min=0.01, t_max=9.0, rho=3.0).ascending_grid(points)
    low, high = 0.01 ** (1 / 3), 9 ** (1 / 3)
    expected = [(low + i / (points - 1) * (high - low)) ** 3 for i in range(points)]
    torch.testing.assert_close(ascending, torch.tensor(expected, dtype=torch.float64), rtol=1e-12, atol=0)
    assert (ascending[0], ascending[-1]) == (0.01, 9.0)


@pytest.mark.parametrize("sigma", [0.12, 0.25, 0.5, 1.0])
def test_the_exact_time_is_twice_sigma(sigma: float) -> None:
    assert choose_time(sigma, "exact", NoiseRange(), 18) == 2 * sigma


def test_no_noise_is_the_lowest_time() -> None:
    for rule in ("exact", "nearest-2sigma", "nearest-sigma"):
        assert choose_time(0.0, rule, NoiseRange(), 18) == NoiseRange().t_min


@pytest.mark.parametrize(("sigma", "words"), [(2.1, "use sigma <= 2"), (-0.1, "at least 0"), (math.nan, "finite")])
def test_noise_outside_the_training_range_is_refused(sigma: float, words: str) -> None:
    with pytest.raises(InputError, match=words):
        choose_time(sigma, "exact", NoiseRange(t_max=4.0), 18)


def test_an_impossible_range_is_refused() -> None:
    with pytest.raises(ValueError, match="t_min < t_max"):
        NoiseRange(t_min=1.0, t_max=0.5)
    with pytest.raises(ValueError, match="rho"):
        NoiseRange(rho=0.5)
    with pytest.raises(ValueError, match="2 points"):
        NoiseRange().grid(1)


def test_the_curriculum_doubles_in_equal_stages() -> None:
    # K' = floor(400000 / (log2(1280 / 10) + 1)) = 50000, as in the paper's settings for CIFAR-10.
    curriculum = Curriculum(first=10, last=1280, steps=400_000)
    assert [curriculum.points(50_000 * stage) for stage in range(8)] == [10 * 2**stage + 1 for stage in range(8)]
    assert curriculum.points(49_999) == 11
    assert curriculum.points(399_999) == 1281


def test_a_curriculum_that_does_not_end_on_a_doubling_is_rounded_down() -> None:
    # floor(last / first) = 7: K' = floor(1000 / (log2(7) + 1)) = 262, where log2(7.9) would give 251.
    curriculum = Curriculum(first=10, last=79, steps=1000)
    assert [curriculum.points(step) for step in (0, 261, 262, 524, 786, 999)] == [11, 11, 21, 41, 80, 80]


@pytest.mark.parametrize("change", [{"first": 0}, {"first": 11, "last": 10}, {"steps": 0}])
def test_an_impossible_curriculum_is_refused(change: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="1 <= first <= last and a positive length"):
        Curriculum(**change)


def test_times_without_spread_are_refused() -> None:
    with pytest.raises(ValueError, match="std of ln t must be > 0"):
        LognormalTimes(std=0.0)


def test_interval_weights_are_normal_masses_of_the_logarithm() -> None:
    grid = NoiseRange().ascending_grid(19)
    weights = LognormalTimes(mean=-1.1, std=2.0).weights(grid)
    mass = [
        ndtr((math.log(b) + 1.1) / 2) - ndtr((math.log(a) + 1.1) / 2)
        for a, b in zip(grid.tolist(), grid.tolist()[1:], strict=False)
    ]
    torch.testing.assert_close(weights, torch.tensor(mass, dtype=torch.float64) / sum(mass))


def test_an_average_forgets_half_in_a_half_life() -> None:
    decay = ema_decay(step=10**6, half_life=50.0)
    assert decay**50 == pytest.approx(0.5)


def test_an_average_starts_as_the_first_weights() -> None:
    assert ema_decay(step=1, half_life=1e4) < 1e-6
