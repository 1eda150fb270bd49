"""Recipes of stages: each trains what it needs, once; its model exports; what decides no weight may change."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from purecert.engine.errors import InputError
from purecert.export.fusing.fuse import fuse
from purecert.train.fitting.data import Images
from purecert.train.fitting.plans.fit import Fit
from purecert.train.fitting.progress import Silent
from purecert.train.fitting.session import Session
from purecert.train.models.checkpoints import load_model, save_model
from purecert.train.purifiers.consistency import ConsistencyPurifier
from purecert.train.purifiers.edm import EdmPurifier
from purecert.train.purifiers.identity import IdentityPurifier
from purecert.train.recipes.paper.fashion_mnist import FASHION_MNIST
from purecert.train.recipes.paper.recipe import PaperRecipe
from purecert.train.recipes.paper.stages import PaperTraining


class _Begun(Silent):
    """Remembers from which step each stage went on."""

    def __init__(self) -> None:
        self.stages: list[tuple[str, int]] = []

    def begin(self, stage: str, step: int, steps: int) -> None:
        self.stages.append((stage, step))


@pytest.fixture(scope="module")
def images() -> Images:
    generator = torch.Generator().manual_seed(0)
    return Images(
        pixels=torch.rand(20, 1, 28, 28, generator=generator) * 2 - 1, labels=torch.arange(20) % 10, classes=10
    )


@pytest.fixture(scope="module")
def recipe() -> PaperRecipe:
    return replace(FASHION_MNIST.scaled(1e-9), batch=2)


@pytest.fixture(scope="module")
def work(recipe: PaperRecipe, images: Images, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder in which all stages are finished, each with its model file."""
    folder = tmp_path_factory.mktemp("work")
    training = PaperTraining(recipe, images, Session(folder=folder))
    for stage in recipe.stages:
        save_model(training.model(stage), folder / f"{stage}.pt")
    return folder


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
