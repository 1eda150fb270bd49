"""Where the models of a table come from: the recipes of Consistency Purification and of rRCM on Fashion-MNIST."""

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Protocol

import torch
from paper.clock import Clock

from purecert.train.fitting.data import Images, load_images
from purecert.train.fitting.session import Session
from purecert.train.models.checkpoints import Model
from purecert.train.recipes.cost import Meter, StageCost
from purecert.train.recipes.known import paper_recipe, rrcm_recipe
from purecert.train.recipes.paper.compared import check_files, model_of, stages_below
from purecert.train.recipes.paper.sources import Sources
from purecert.train.recipes.paper.stages import PaperTraining
from purecert.train.recipes.rrcm.training import RrcmTraining


class Trainings(Protocol):
    """One recipe with one seed; each stage is trained once, in the folder."""

    folder: Path

    @property
    def judge(self) -> str | None:
        """The stage in whose features images are compared; None: each model's own."""

    def check(self, stages: Iterable[str]) -> None:
        """Read the files that the stages need, before hours of training."""

    def model(self, stage: str) -> Model:
        """Return the model of a stage, trained where it is not."""

    def below(self, stage: str) -> Sequence[tuple[str, int]]:
        """Return all trainings that a stage's model stands on, with their steps."""

    def measured(self, stage: str) -> tuple[Model, list[StageCost]]:
        """Return the stage's model untrained, and what each of those trainings costs."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Where everything lies."""

    work: Path
    data_dir: Path
    lpips_weights: Path | None = None


class PaperTrainings:
    """The recipe fashion-mnist."""

    judge = "second-classifier"

    def __init__(self, seed: int, place: Place, steps_scale: float, images: int | None) -> None:
        self.folder = place.work / f"seed-{seed}"
        self._recipe = paper_recipe("fashion-mnist", seed=seed).scaled(steps_scale)
        self._sources, self._place, self._count = Sources(lpips_weights=place.lpips_weights), place, images

    @cached_property
    def _training(self) -> PaperTraining:
        images = _images(self._recipe.data.train, self._count, self._place.data_dir)
        return PaperTraining(self._recipe, images, _session(self.folder), self._sources)

    def check(self, stages: Iterable[str]) -> None:
        check_files(self._training, tuple(stages))

    def model(self, stage: str) -> Model:
        return model_of(self._training, stage)

    def below(self, stage: str) -> Sequence[tuple[str, int]]:
        steps = {name: part.fit.steps for name, part in self._recipe.parts.items()}
        steps |= {each.name: each.part.fit.steps for each in self._recipe.comparisons if hasattr(each.part, "fit")}
        return [(name, steps[name]) for name in stages_below(self._recipe, stage)]

    def measured(self, stage: str) -> tuple[Model, list[StageCost]]:
        meter = Meter(rows=2)
        few = _few(self._recipe.data.shape, self._recipe.data.classes)
        return model_of(PaperTraining(self._recipe, few, Session(), self._sources, meter), stage), meter.found


class RrcmTrainings:
    """The recipe rrcm-fashion-mnist."""

    judge = None

    def __init__(self, seed: int, place: Place, steps_scale: float, images: int | None, labels: int | None) -> None:
        self.folder = place.work / f"rrcm-{seed}" / ("all" if labels is None else f"labels-{labels}")
        self._recipe = rrcm_recipe("rrcm-fashion-mnist", seed=seed, labels=labels).scaled(steps_scale)
        self._place, self._count = place, images

    @cached_property
    def _training(self) -> RrcmTraining:
        images = _images(self._recipe.data.train, self._count, self._place.data_dir)
        return RrcmTraining(self._recipe, images, _session(self.folder))

    def check(self, stages: Iterable[str]) -> None:
        """Read no file: none is needed."""

    def model(self, stage: str) -> Model:
        return self._training.model(stage)

    def below(self, stage: str) -> Sequence[tuple[str, int]]:
        parts = {"pretraining": self._recipe.pretraining, **self._recipe.parts}
        return [(name, parts[name].fit.steps) for name in self._recipe.needs(stage)]

    def measured(self, stage: str) -> tuple[Model, list[StageCost]]:
        meter = Meter(rows=2)
        few = _few(self._recipe.data.shape, self._recipe.data.classes)
        return RrcmTraining(replace(self._recipe, labels=None), few, Session(), meter).model(stage), meter.found


def _images(data: str, count: int | None, data_dir: Path) -> Images:
    return load_images(f"{data}{first(count)}", data_dir)


def first(count: int | None) -> str:
    """Return the slice of a data set's first images, as --data takes it; nothing for all."""
    return "" if count is None else f"[:{count}]"


def _session(folder: Path) -> Session:
    torch.set_num_threads(1)
    return Session(folder=folder, progress=Clock(sys.stderr, folder))


def _few(shape: tuple[int, int, int], classes: int) -> Images:
    labels = torch.arange(20) % classes
    return Images(pixels=torch.zeros(len(labels), *shape), labels=labels, classes=classes)
