"""What a test of few images and draws cannot find is said, and what it says that it finds it does find."""

import math

import pytest

from purecert.engine.statistics.vote_tests import LEVEL, at_least_so_many_p_value, sign_flip_p_value, stratified_p_value
from purecert.engine.verification.fresh_power import power_of_early, power_of_fixed


def _p_value(n: int, images: int, votes: int, fresh: int, *, upward_only: bool) -> float:
    columns = ([votes] * images, [n] * images, [fresh] * images, [n] * images)
    return stratified_p_value(*columns, upward_only=upward_only)


@pytest.mark.parametrize("upward_only", [False, True])
@pytest.mark.parametrize(
    ("n", "images", "votes"), [(5, 1, 5), (5, 2, 5), (5, 3, 5), (11, 1, 11), (12, 1, 12), (12, 1, 6), (10**4, 5, 9_000)]
)
def test_a_fixed_n_fails_where_it_is_said_to_and_nowhere_before(
    n: int, images: int, votes: int, upward_only: bool
) -> None:
    power = power_of_fixed([votes] * images, [n] * images, [n] * images, upward_only=upward_only)
    most = _p_value(n, images, votes, 0, upward_only=upward_only)
    assert power.can_fail == (most <= LEVEL)
    if power.finds is not None:
        parts = round(1000 * power.finds)
        for found, is_found in ((parts, True), (parts - 1, False)):
            fresh = votes * (1000 - found) // 1000
            assert (_p_value(n, images, votes, fresh, upward_only=upward_only) <= LEVEL) == is_found
        assert str(power) == f"it fails where fresh draws give {power.finds:.1%} fewer votes"
    else:
        assert power.needed is not None
        assert _p_value(n, power.needed, votes, 0, upward_only=upward_only) <= LEVEL
        assert _p_value(n, power.needed - 1, votes, 0, upward_only=upward_only) > LEVEL
        assert str(power) == f"with {images} images this test cannot fail; {power.needed} or more are needed"


def test_without_a_vote_for_its_class_no_number_of_images_is_enough() -> None:
    assert str(power_of_fixed([0], [9], [9], upward_only=False)).endswith("cannot fail; more draws are needed")
    assert str(power_of_fixed([], [], [], upward_only=False)).endswith("cannot fail; more draws are needed")


@pytest.mark.parametrize("chance", [2e-6, 2e-3, 0.1, 0.9, 1.0])
def test_draws_that_stop_early_can_fail_from_so_many_images(chance: float) -> None:
    for images in range(1, 30):
        flips = 2 * sign_flip_p_value([9.0] * images) <= LEVEL
        excluded = 2 * at_least_so_many_p_value(images, images, chance) <= LEVEL
        assert power_of_early(images, images, 0, chance).can_fail == flips
        assert power_of_early(images, 0, images, chance).can_fail == excluded
    power = power_of_early(5, 4, 1, chance)
    if not power.can_fail:
        most = 21 if chance == 1 else min(21, math.ceil(math.log(LEVEL / 2) / math.log(chance)))
        assert str(power) == f"with 5 images this test cannot fail; {most} or more are needed"
    assert "with 4 images that differ the sign flips cannot fail, only" in str(power_of_early(5, 4, 5, 2e-3))
