"""A recipe at its full width and one step a stage, trained once."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from purecert.train.fitting.data import Images
from purecert.train.fitting.session import Session
from purecert.train.models.checkpoints import save_model
from purecert.train.recipes.paper.fashion_mnist import FASHION_MNIST
from purecert.train.recipes.paper.recipe import PaperRecipe
from purecert.train.recipes.paper.stages import PaperTraining


@pytest.fixture(scope="package")
def images() -> Images:
    generator = torch.Generator().manual_seed(0)
    return Images(
        pixels=torch.rand(20, 1, 28, 28, generator=generator) * 2 - 1, labels=torch.arange(20) % 10, classes=10
    )


@pytest.fixture(scope="package")
def recipe() -> PaperRecipe:
    return replace(FASHION_MNIST.scaled(1e-9), batch=2)


@pytest.fixture(scope="package")
def work(recipe: PaperRecipe, images: Images, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder in which all stages are finished, each with its model file."""
    folder = tmp_path_factory.mktemp("work")
    training = PaperTraining(recipe, images, Session(folder=folder))
    for stage in recipe.stages:
        save_model(training.model(stage), folder / f"{stage}.pt")
    return folder
