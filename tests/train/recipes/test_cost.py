"""A dry run: it counts what a training would compute, reads no data and trains nothing."""

import pytest

from purecert.engine.errors import InputError
from purecert.train.recipes.asking import Asked
from purecert.train.recipes.cost import StageCost, describe, measure


def test_it_counts_every_stage_in_proportion_to_its_rows() -> None:
    configuration, costs = measure(Asked(recipe="digits"), rows=4)
    assert configuration["kind"] == "DigitsRecipe"
    assert [(cost.stage, cost.steps) for cost in costs] == [("purifier", 4000), ("classifier", 2000)]
    assert all(cost.flops > 0 and cost.seconds > 0 and cost.rows == 4 for cost in costs)
    twice = measure(Asked(recipe="digits"), rows=8)[1]
    for few, more in zip(costs, twice, strict=True):
        assert few.flops == pytest.approx(more.flops, rel=0.01)  # weights' own operations are few


def test_a_stage_alone_is_counted_with_what_it_needs() -> None:
    _, costs = measure(Asked(recipe="fashion-mnist", stage="noisy-50"), rows=1)
    (cost,) = costs
    assert (cost.stage, cost.batch, cost.steps) == ("noisy-50", 128, 800)
    # Three weights of a convolution, 3x3, from 1 to 16 channels at 28x28: far from all, but a bound below.
    assert cost.flops > 3 * 2 * 9 * 16 * 28 * 28 * 128
    assert cost.minutes == pytest.approx(800 * cost.seconds / 60)


def test_it_prints_the_configuration_and_a_table(monkeypatch: pytest.MonkeyPatch) -> None:
    cost = StageCost(stage="one", parameters=1234, steps=10, batch=8, rows=8, flops=2e9, seconds=0.6)
    monkeypatch.setattr("purecert.train.recipes.cost.measure", lambda asked: ({"kind": "Recipe"}, [cost]))
    text = describe(Asked(recipe="digits"))
    assert text.startswith('{\n "kind": "Recipe"')
    assert "one                        1,234       10        2.00      0.1" in text


def test_a_stage_that_is_none_is_refused() -> None:
    with pytest.raises(InputError, match=r"fashion-mnist has the stages .*ode.*; got --stage later"):
        measure(Asked(recipe="fashion-mnist", stage="later"))


def test_what_is_asked_changes_the_recipe() -> None:
    asked = Asked(recipe="fashion-mnist", seed=3, steps_scale=0.5, distance="l1", data="folder:x", lpips_network="alex")
    recipe = asked.paper()
    assert (recipe.seed, recipe.data.train, recipe.fine_tuning.distance) == (3, "folder:x", "l1")
    assert (recipe.lpips.network, recipe.fine_tuning.fit.steps) == ("alex", 75)
    assert {each.name: each for each in recipe.comparisons}["noisy-25"].part.fit.steps == 400  # type: ignore[union-attr]
