"""rRCM's pre-training schedules are the published ones."""

import math

import pytest

from purecert.train.schedules.rrcm import CeilingCurriculum, SigmoidDecay
from support.golden import table


@pytest.mark.shared
def test_the_number_of_points_is_the_published_one() -> None:
    for row in table("rrcm_schedules"):
        curriculum = CeilingCurriculum(steps=int(row["total_steps"]))
        assert curriculum.points(int(row["step"])) == int(row["scales"])


@pytest.mark.shared
def test_the_decay_of_the_target_is_the_published_one() -> None:
    for row in table("rrcm_schedules"):
        schedule = SigmoidDecay(sharpness=float(row["ema_A"]), steps=int(row["total_steps"]))
        assert schedule.decay(int(row["step"])) == pytest.approx(float(row["target_ema"]), rel=0, abs=1e-12)


@pytest.mark.parametrize(("steps", "stage"), [(300_000, 129_203), (600_000, 258_406)])
def test_a_stage_is_the_length_over_the_logarithm_of_5(steps: int, stage: int) -> None:
    assert CeilingCurriculum(steps=steps).stage_length == stage == math.ceil(steps / math.log2(5))


def test_the_decay_has_a_closed_form_at_both_ends() -> None:
    schedule = SigmoidDecay(start=0.5, end=0.9, sharpness=2 * math.atanh(0.75), steps=100)
    assert schedule.decay(0) == 0.5
    assert schedule.decay(100) == pytest.approx(0.75 * 0.9 + 0.25 * 0.5)


@pytest.mark.parametrize("change", [{"first": 0}, {"first": 81}, {"steps": 0}])
def test_an_impossible_curriculum_is_refused(change: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="1 <= first <= last and a positive length"):
        CeilingCurriculum(**change)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"start": 0.9999}, "start < end < 1"),
        ({"start": -0.1}, "0 <= start"),
        ({"end": 1.0}, "start < end < 1"),
        ({"sharpness": 0.0}, "positive sharpness"),
        ({"sharpness": math.nan}, "positive sharpness"),
        ({"steps": 0}, "positive sharpness and length"),
    ],
)
def test_an_impossible_decay_is_refused(change: dict[str, float], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        SigmoidDecay(**change)  # type: ignore[arg-type]
