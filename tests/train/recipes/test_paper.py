"""Recipes of stages: each trains what it needs, once; its model exports; what decides no weight may change."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from purecert.engine.errors import InputError
from purecert.export.fusing.fuse import fuse
from purecert.train.fitting.data import Images
from purecert.train.fitting.plans.fit import Fit
from purecert.train.fitting.progress import Silent
from purecert.train.fitting.session import Session
from purecert.train.models.checkpoints import load_model, save_model
from purecert.train.networks.resnet import ResNetConfig
from purecert.train.networks.song.unet import SongUNetConfig
from purecert.train.purifiers.consistency import ConsistencyPurifier
from purecert.train.purifiers.edm import EdmPurifier
from purecert.train.purifiers.identity import IdentityPurifier
from purecert.train.recipes.known import paper_recipe
from purecert.train.recipes.paper.fashion_mnist import FASHION_MNIST
from purecert.train.recipes.paper.recipe import PaperRecipe
from purecert.train.recipes.paper.sources import Sources
from purecert.train.recipes.paper.stages import PaperTraining, build


class _Begun(Silent):
    """Remembers from which step each stage went on."""

    def __init__(self) -> None:
        self.stages: list[tuple[str, int]] = []

    def begin(self, stage: str, step: int, steps: int) -> None:
        self.stages.append((stage, step))


def test_each_stage_leaves_a_model_that_fuses(work: Path) -> None:
    kinds = {
        "classifier": IdentityPurifier,
        "second-classifier": IdentityPurifier,
        "teacher": EdmPurifier,
        "distillation": ConsistencyPurifier,
        "fine-tuning": ConsistencyPurifier,
    }
    assert tuple(kinds) == FASHION_MNIST.stages
    models = {stage: load_model(work / f"{stage}.pt") for stage in kinds}
    judge = models["second-classifier"].classifier.state_dict()
    for stage, kind in kinds.items():
        assert type(models[stage].purifier) is kind
        labels, logits = fuse(models[stage], 0.5)(torch.zeros(1, 1, 28, 28))
        assert (labels.shape, logits.shape) == ((1,), (1, 10))
        if stage not in ("classifier", "second-classifier"):
            found = models[stage].classifier.state_dict()
            assert all(torch.equal(found[key], judge[key]) for key in judge)


def test_finished_stages_are_read_and_other_fine_tunings_share_the_teacher(
    work: Path, recipe: PaperRecipe, images: Images
) -> None:
    begun = _Begun()
    session = Session(folder=work, progress=begun)
    tuned = replace(recipe.fine_tuning, distance="l1", start="teacher", fit=replace(recipe.fine_tuning.fit, stage="l1"))
    other = PaperTraining(replace(recipe, fine_tuning=tuned), images, session).model("fine-tuning")
    assert begun.stages == [("teacher", 1), ("l1", 0), ("second-classifier", 1)]
    assert type(other.purifier) is EdmPurifier


def test_a_stage_goes_on_only_where_what_it_stands_on_is_the_same(
    work: Path, recipe: PaperRecipe, images: Images
) -> None:
    assert recipe.teacher is not None
    changed = replace(recipe, teacher=replace(recipe.teacher, std=1.1))
    with pytest.raises(InputError, match=r"std was 1\.0 and is now 1\.1"):
        PaperTraining(changed, images, Session(folder=work)).model("distillation")


def test_what_does_not_fit_is_said(recipe: PaperRecipe, images: Images) -> None:
    grey = replace(images, pixels=images.pixels[:, :, :8, :8])
    with pytest.raises(InputError, match=r"fashion-mnist expects images \(1, 28, 28\) of 10 classes"):
        PaperTraining(recipe, grey, Session())
    with pytest.raises(InputError, match="has the stages classifier, second-classifier, teacher"):
        PaperTraining(recipe, images, Session()).model("transition")
    perceptual = replace(recipe, fine_tuning=replace(recipe.fine_tuning, distance="lpips"))
    with pytest.raises(InputError, match="--lpips-weights FILE"):
        PaperTraining(perceptual, images, Session()).check(("fine-tuning",))
    with pytest.raises(ValueError, match="a teacher and its distillation, or a transition"):
        replace(recipe, distillation=None)
    with pytest.raises(ValueError, match="which the recipe lacks"):
        replace(recipe, fine_tuning=replace(recipe.fine_tuning, start="transition"))


def test_a_plan_of_a_stage_names_its_folder(recipe: PaperRecipe) -> None:
    plans: dict[str, Fit] = {stage: part.fit for stage, part in recipe.parts.items()}
    assert all(plan.stage == stage for stage, plan in plans.items())


_SLOW = [pytest.param(name, marks=pytest.mark.slow) for name in ("cifar10", "imagenet64")]


@pytest.mark.parametrize("name", ["cifar10-small", *_SLOW])
def test_every_other_recipe_keeps_its_shapes_at_reduced_width(name: str, tmp_path: Path) -> None:
    small, images, sources = _reduced(paper_recipe(name).scaled(1e-9)), _random_images(), Sources()
    if small.transition is not None:
        start = PaperTraining(small, images, Session()).model("classifier")
        purifier = ConsistencyPurifier(small.karras, build(small.network)).eval()
        save_model(replace(start, purifier=purifier), tmp_path / "start.pt")
        sources = Sources(start_model=tmp_path / "start.pt")
        with pytest.raises(InputError, match="--start FILE"):
            PaperTraining(small, images, Session()).check(("transition",))
    model = PaperTraining(small, images, Session(), sources).model("fine-tuning")
    assert model.purifier(images.pixels, 0.25).shape == images.pixels.shape
    assert model.classifier(model.preprocessing(images.pixels)).shape == (4, 10)


def _random_images() -> Images:
    pixels = torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1
    return Images(pixels=pixels, labels=torch.arange(4), classes=10)


def _reduced(recipe: PaperRecipe) -> PaperRecipe:
    """Return a recipe with small networks, for images of 32 x 32 in ten classes, without LPIPS."""
    less: dict[str, Any] = {"model_channels": 32, "channel_mult": (1, 1)}
    if isinstance(recipe.network, SongUNetConfig):
        less |= {"num_blocks": 1, "attn_resolutions": ()}
    else:
        less |= {"image_size": 32, "num_res_blocks": 1, "attention_resolutions": (), "num_head_channels": 32}
    narrow = ResNetConfig(classes=10, blocks=(1, 1, 1), widths=(4, 4, 4))
    distillation = recipe.distillation and replace(recipe.distillation, distance="huber")
    return replace(
        recipe,
        network=replace(recipe.network, **less),
        data=replace(recipe.data, shape=(3, 32, 32), classes=10),
        batch=2,
        classifier=replace(recipe.classifier, network=narrow),
        second_classifier=replace(recipe.second_classifier, network=narrow),
        distillation=distillation,
        fine_tuning=replace(recipe.fine_tuning, distance="features"),
    )


def test_there_are_recipes_of_these_names_only() -> None:
    assert paper_recipe("fashion-mnist", seed=7) == replace(FASHION_MNIST, seed=7)
    with pytest.raises(ValueError, match="expected a recipe of the paper"):
        paper_recipe("digits")
