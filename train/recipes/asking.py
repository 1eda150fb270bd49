"""What a user may ask of a recipe, and its training."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import torch

from purecert.engine.errors import BackendError, InputError
from purecert.train.fitting.data import Images, load_images
from purecert.train.fitting.grids import check_drawing
from purecert.train.fitting.session import Session
from purecert.train.models.checkpoints import Model, save_model
from purecert.train.recipes.digits import DigitsRecipe, train_digits
from purecert.train.recipes.known import paper_recipe, rrcm_recipe
from purecert.train.recipes.paper.compared import check_files, model_of
from purecert.train.recipes.paper.recipe import PaperRecipe
from purecert.train.recipes.paper.sources import Sources
from purecert.train.recipes.paper.stages import PaperTraining
from purecert.train.recipes.pictures import draw_pictures
from purecert.train.recipes.rrcm.recipe import RrcmRecipe
from purecert.train.recipes.rrcm.training import RrcmTraining

Recipe = TypeVar("Recipe", PaperRecipe, RrcmRecipe)


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """A recipe by name, with the user's choices."""

    recipe: str
    seed: int = 0
    steps_scale: float = 1.0
    threads: int = 1
    stage: str = "all"
    labels: int | None = None
    data: str | None = None
    data_dir: Path | None = None
    distance: Any = None
    lpips_weights: Path | None = None
    lpips_network: Any = None
    start: Path | None = None
    device: str = "cpu"

    def place(self) -> torch.device:
        """Return the device to train on.

        Raises:
            BackendError: It is not here.
        """
        if self.device == "cuda" and not torch.cuda.is_available():
            raise BackendError("--device cuda: PyTorch finds no GPU here; train on cpu, or install its CUDA build")
        return torch.device(self.device)

    def digits(self) -> DigitsRecipe:
        """Return the demo's recipe as asked for."""
        return DigitsRecipe(seed=self.seed).scaled(self.steps_scale)

    def paper(self) -> PaperRecipe:
        """Return the recipe of the paper as asked for.

        Raises:
            InputError: It has no such stage.
        """
        recipe = self._of_data(paper_recipe(self.recipe, seed=self.seed).scaled(self.steps_scale))
        if self.distance is not None:
            recipe = replace(recipe, fine_tuning=replace(recipe.fine_tuning, distance=self.distance))
        if self.lpips_network is not None:
            recipe = replace(recipe, lpips=replace(recipe.lpips, network=self.lpips_network))
        return recipe

    @property
    def is_rrcm(self) -> bool:
        """Whether it is a recipe of rRCM."""
        return self.recipe.startswith("rrcm-")

    def rrcm(self) -> RrcmRecipe:
        """Return the recipe of rRCM as asked for.

        Raises:
            InputError: It has no such stage.
        """
        recipe = self._of_data(rrcm_recipe(self.recipe, seed=self.seed).scaled(self.steps_scale))
        return replace(recipe, labels=self.labels)

    def _of_data(self, recipe: Recipe) -> Recipe:
        """Return ``recipe``, which has the stage asked for, with the data asked for."""
        if self.stage not in (*recipe.names, "all"):
            raise InputError(f"{recipe.name} has the stages {', '.join(recipe.names)}; got --stage {self.stage}")
        if self.data is None:
            return recipe
        return replace(recipe, data=replace(recipe.data, train=self.data))

    def sources(self) -> Sources:
        """Return the files of the user."""
        return Sources(lpips_weights=self.lpips_weights, start_model=self.start)


def train(asked: Asked, session: Session, minutes: float | None = None) -> Model:
    """Return the model of the stage asked for, or of the last one; each stage's lies in its folder of the session.

    The time budget of ``minutes`` begins when the data are loaded.

    Raises:
        BackendError: Pillow, which draws the pictures in the session's folder, is not installed.
        InputError: The data, or a file that a stage needs, is missing or does not fit.
        PausedError: The time is up.
    """
    if session.folder is not None:
        check_drawing()  # now rather than after the training
    if asked.recipe == "digits":
        return train_digits(asked.digits(), session.with_minutes(minutes))
    recipe = asked.rrcm() if asked.is_rrcm else asked.paper()
    images = load_images(recipe.data.train, asked.data_dir)
    session = session.with_minutes(minutes)
    stages = recipe.stages if asked.stage == "all" else (asked.stage,)
    make = _maker(recipe, images, session, asked.sources(), stages)
    for stage in stages:
        model = make(stage)
        folder = session.stage_folder(stage)
        if folder is not None and session.processes.is_first:
            save_model(model, folder / "model.pt", force=True)
            draw_pictures(model, images, asked.seed, folder)
    return model


def _maker(
    recipe: PaperRecipe | RrcmRecipe, images: Images, session: Session, sources: Sources, stages: Sequence[str]
) -> Callable[[str], Model]:
    """Return what trains a stage by its name, once the files that ``stages`` need are read."""
    if isinstance(recipe, RrcmRecipe):
        return RrcmTraining(recipe, images, session).model
    training = PaperTraining(recipe, images, session, sources)
    check_files(training, stages)
    return partial(model_of, training)
