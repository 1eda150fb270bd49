"""Training lowers its loss, is decided by its seed, and stops where numbers fail."""

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from purecert.engine.errors import CheckError
from purecert.train.fitting.data import Images, load_images
from purecert.train.fitting.loop import Fit, StepReport, WeightAverage, fit
from purecert.train.models.checkpoints import Model
from purecert.train.networks.song.unet import SongUNet
from purecert.train.objectives.consistency import consistency_loss
from purecert.train.recipes.digits import DigitsRecipe, train_on

_BRIEF = Fit(stage="test", steps=30, learning_rate=3e-3, half_life=3.0, warm_up=1, report_every=10)


@pytest.fixture(scope="module")
def digits() -> Images:
    return load_images("digits:train")


def _recipe(seed: int, steps: int = 3) -> DigitsRecipe:
    plain = DigitsRecipe(seed=seed, batch=20)
    brief = [replace(plan, steps=steps) for plan in (plain.purifier_fit, plain.classifier_fit)]
    return replace(plain, purifier_fit=brief[0], classifier_fit=brief[1])


def _weights(model: Model) -> list[Tensor]:
    return [*model.purifier.state_dict().values(), *model.classifier.state_dict().values()]


def _silent(_: StepReport) -> None:
    return None


def test_the_consistency_loss_falls_on_a_fixed_batch(digits: Images) -> None:
    torch.manual_seed(0)
    recipe = DigitsRecipe()
    network = SongUNet(recipe.network)
    clean, noise = digits.pixels[:32], torch.randn(32, 1, 8, 8)
    high = torch.linspace(0.2, 2, 32, dtype=torch.float64)

    def loss(step: int) -> Tensor:
        return consistency_loss(network, recipe.consistency, clean, noise, high, 0.8 * high)

    before = loss(0).item()
    fit(network, loss, _BRIEF, _silent)
    assert loss(0).item() < 0.9 * before


def test_the_same_seed_gives_the_same_bits_and_another_seed_other_weights(digits: Images) -> None:
    first, again, other = (_weights(train_on(digits, _recipe(seed), _silent)) for seed in (1, 1, 2))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(first, other, strict=True))


def test_training_leaves_the_global_generator_alone(digits: Images) -> None:
    before = torch.random.get_rng_state()
    train_on(digits, _recipe(seed=0, steps=1), _silent)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_a_trained_model_is_for_inference(digits: Images) -> None:
    model = train_on(digits, _recipe(seed=0, steps=1), _silent)
    for module in (model.purifier, model.classifier):
        assert not module.training
        assert not any(p.requires_grad for p in module.parameters())


def test_every_step_is_reported_once() -> None:
    module = nn.Linear(1, 1)
    losses: list[float] = []
    reports: list[StepReport] = []

    def objective(step: int) -> Tensor:
        loss = module(torch.ones(1, 1)).square().sum()
        losses.append(loss.item())
        return loss

    fit(module, objective, replace(_BRIEF, steps=25), reports.append)
    assert [(p.step, p.steps) for p in reports] == [(10, 25), (20, 25), (25, 25)]
    parts = [losses[:10], losses[10:20], losses[20:]]
    assert [p.loss for p in reports] == pytest.approx([sum(part) / len(part) for part in parts])


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_stops_training(value: float) -> None:
    module = nn.Linear(1, 1)
    with pytest.raises(CheckError, match=r"the loss at step 0 is .*; lower the learning rate"):
        fit(module, lambda step: module(torch.ones(1, 1)).sum() * value, _BRIEF, _silent)


def test_an_average_of_constant_weights_is_the_weights() -> None:
    module = nn.Linear(2, 2)
    expected = module.weight.detach().clone()
    average = WeightAverage(module, half_life=10.0)
    for step in range(1, 50):
        average.update(step)
    average.store()
    torch.testing.assert_close(module.weight.detach(), expected)


def test_an_average_moves_half_way_in_a_half_life() -> None:
    module = nn.Linear(1, 1, bias=False)
    average = WeightAverage(module, half_life=20.0)
    start = module.weight.item()
    module.weight.data += 1
    for step in range(10_000, 10_020):  # long after the ramp
        average.update(step)
    average.store()
    assert module.weight.item() == pytest.approx(start + 0.5, abs=1e-5)


def test_the_learning_rate_warms_up_and_falls_to_zero() -> None:
    plan = Fit(stage="test", steps=1000, learning_rate=1.0, half_life=0.0, warm_up=10)
    assert plan.rate(0) == pytest.approx(0.1, rel=1e-3)
    assert plan.rate(500) == pytest.approx(0.5)
    assert plan.rate(999) < 1e-5


def test_scaling_a_recipe_scales_its_steps_alone() -> None:
    recipe = DigitsRecipe()
    short = recipe.scaled(0.01)
    assert short.purifier_fit.steps == pytest.approx(recipe.purifier_fit.steps / 100, abs=1)
    assert replace(short, purifier_fit=recipe.purifier_fit, classifier_fit=recipe.classifier_fit) == recipe
    assert recipe.scaled(1e-9).purifier_fit.steps == 1
