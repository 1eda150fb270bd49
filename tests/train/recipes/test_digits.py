"""The demo's recipe is decided by its seed and lowers its loss."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from purecert.train.fitting.data import Augmentation, Images, Sampler, load_images
from purecert.train.fitting.draws import Batch
from purecert.train.fitting.loop import fit
from purecert.train.fitting.plans.averages import HalfLife
from purecert.train.fitting.plans.fit import Fit
from purecert.train.fitting.plans.rates import Cosine
from purecert.train.fitting.session import Session
from purecert.train.models.checkpoints import Model
from purecert.train.networks.song.unet import SongUNet
from purecert.train.objectives.consistency import consistency_loss
from purecert.train.recipes.digits import DigitsRecipe, train_on


@pytest.fixture(scope="module")
def digits() -> Images:
    return load_images("digits:train")


def _recipe(seed: int, steps: int = 3) -> DigitsRecipe:
    plain = DigitsRecipe(seed=seed, batch=20)
    brief = [replace(plan, steps=steps) for plan in (plain.purifier_fit, plain.classifier_fit)]
    return replace(plain, purifier_fit=brief[0], classifier_fit=brief[1])


def _weights(model: Model) -> list[Tensor]:
    return [*model.purifier.state_dict().values(), *model.classifier.state_dict().values()]


def test_the_consistency_loss_falls_on_a_fixed_batch(digits: Images) -> None:
    torch.manual_seed(0)
    recipe = DigitsRecipe()
    network = SongUNet(recipe.network)
    clean, noise = digits.pixels[:32], torch.randn(32, 1, 8, 8)
    high = torch.linspace(0.2, 2, 32, dtype=torch.float64)

    def loss(_: Batch) -> Tensor:
        return consistency_loss(network, recipe.consistency, clean, noise, high, 0.8 * high)

    sampler = Sampler(images=digits, batch=1, augmentation=Augmentation())
    plan = Fit(stage="test", steps=30, learning_rate=3e-3, average=HalfLife(steps=3.0), schedule=Cosine(warm_up=1))
    before = loss(sampler.draw("test", 0)).item()
    fit(network, loss, plan, sampler)
    assert loss(sampler.draw("test", 0)).item() < 0.9 * before


def test_the_same_seed_gives_the_same_bits_and_another_seed_other_weights(digits: Images) -> None:
    first, again, other = (_weights(train_on(digits, _recipe(seed), Session())) for seed in (1, 1, 2))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(first, other, strict=True))


def test_training_leaves_the_global_generator_alone(digits: Images) -> None:
    before = torch.random.get_rng_state()
    train_on(digits, _recipe(seed=0, steps=1), Session())
    assert torch.equal(torch.random.get_rng_state(), before)


def test_a_trained_model_is_for_inference(digits: Images) -> None:
    model = train_on(digits, _recipe(seed=0, steps=1), Session())
    for module in (model.purifier, model.classifier):
        assert not module.training
        assert not any(p.requires_grad for p in module.parameters())


def test_scaling_a_recipe_scales_its_steps_alone() -> None:
    recipe = DigitsRecipe()
    short = recipe.scaled(0.01)
    assert short.purifier_fit.steps == pytest.approx(recipe.purifier_fit.steps / 100, abs=1)
    assert replace(short, purifier_fit=recipe.purifier_fit, classifier_fit=recipe.classifier_fit) == recipe
    assert recipe.scaled(1e-9).purifier_fit.steps == 1
