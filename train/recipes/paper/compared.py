"""Trains what the tables compare a recipe's path with, each from the stages that it stands on."""

from collections.abc import Sequence
from dataclasses import replace
from typing import final

import torch
from torch import nn

from purecert.train.fitting.draws import step_seed
from purecert.train.models.checkpoints import Model
from purecert.train.objectives.denoising import DenoisingObjective
from purecert.train.objectives.noisy_classifier import NoisyClassifierObjective
from purecert.train.objectives.objective import Objective
from purecert.train.objectives.purified_classifier import PurifiedClassifierObjective
from purecert.train.objectives.regularised_classifier import RegularisedClassifierObjective
from purecert.train.objectives.sigmas import DiscreteSigmas
from purecert.train.purifiers.edm import EdmPurifier, OdeConfig, OdePurifier
from purecert.train.purifiers.identity import IdentityConfig, IdentityPurifier
from purecert.train.recipes.paper.comparisons import (
    Comparison,
    NoisyClassifier,
    OdeSolver,
    OtherTuning,
    TrainedOn,
    TunedClassifier,
)
from purecert.train.recipes.paper.recipe import FineTuning, PaperRecipe, StageName
from purecert.train.recipes.paper.stages import PaperTraining, build
from purecert.train.strict.frozen import frozen_copy


def model_of(training: PaperTraining, name: str) -> Model:
    """Return the model of a stage of the path, or of a comparison by its name; what it needs is trained first.

    Raises:
        InputError: The recipe has neither, or a file that it needs is missing.
    """
    for comparison in training.recipe.comparisons:
        if comparison.name == name:
            return ComparedTraining(training, comparison).model()
    return training.model(name)  # type: ignore[arg-type]  # which refuses a name that is none of the recipe's


def check_files(training: PaperTraining, names: Sequence[str]) -> None:
    """Read the files that stages and comparisons need, before minutes of training.

    Raises:
        InputError: One is missing or does not fit.
    """
    training.check([name for name in training.recipe.stages if name in names])
    for comparison in training.recipe.comparisons:
        if comparison.name in names and isinstance(comparison.part, OtherTuning):
            training.variant(tuned_recipe(training.recipe, comparison.part)).check(("fine-tuning",))
        elif comparison.name in names and isinstance(comparison.part, TunedClassifier):
            training.check((comparison.part.purifier,))


def stages_below(recipe: PaperRecipe, name: str) -> tuple[str, ...]:
    """Return the names of all trainings that purifier and classifier of a stage's or comparison's model stand on."""
    second: StageName = "second-classifier"
    part = next((each.part for each in recipe.comparisons if each.name == name), None)
    match part:
        case None:
            needs = recipe.needs(name)  # type: ignore[arg-type]  # it is one of the recipe's
            return needs if name in ("classifier", second) else (second, *needs)
        case OdeSolver():
            return (second, *recipe.needs("teacher"))
        case TrainedOn():
            return (second, *recipe.needs("teacher"), name)
        case OtherTuning():
            return (second, *tuned_recipe(recipe, part).needs("fine-tuning")[:-1], name)
        case TunedClassifier():
            return (second, *recipe.needs(part.purifier), name)
        case NoisyClassifier():
            return (name,)


def tuned_recipe(recipe: PaperRecipe, other: OtherTuning) -> PaperRecipe:
    """Return the recipe with another fine-tuning in place of its own."""
    own = recipe.fine_tuning
    return replace(
        recipe,
        fine_tuning=FineTuning(
            fit=other.fit,
            distance=other.distance or own.distance,
            sigmas=other.sigmas or own.sigmas,
            start="teacher" if other.of_teacher else own.start,
            layers=own.layers,
        ),
    )


@final
class ComparedTraining:
    """One comparison of a training's recipe."""

    def __init__(self, training: PaperTraining, comparison: Comparison) -> None:
        self._training, self._recipe, self._name = training, training.recipe, comparison.name
        self._part = comparison.part

    def model(self) -> Model:
        """Return the comparison's model, with the second classifier as its judge where it has a purifier of its own."""
        training, karras, part = self._training, self._recipe.karras, self._part
        if isinstance(part, NoisyClassifier):
            return self._assembled(IdentityPurifier(IdentityConfig()), self._train_noisy(part))
        second = training.trained("second-classifier")
        match part:
            case OdeSolver():
                config = OdeConfig(model=replace(karras, grid_points=part.grid_points))
                return self._assembled(OdePurifier(config, training.trained("teacher")), second)
            case TrainedOn():
                return self._assembled(EdmPurifier(karras, self._train_on(part)), second)
            case OtherTuning():
                other = training.variant(tuned_recipe(self._recipe, part))
                return self._assembled(other.purifier("fine-tuning"), second)
            case TunedClassifier():
                return self._assembled(training.purifier(part.purifier), self._tune_classifier(part, second))

    def _assembled(self, purifier: nn.Module, classifier: nn.Module) -> Model:
        return self._training.assemble(purifier.eval().requires_grad_(False), classifier, self._name)  # type: ignore[arg-type]  # a Purifier in every case above

    def _train_on(self, part: TrainedOn) -> nn.Module:
        network = frozen_copy(self._training.trained("teacher")).requires_grad_(True)
        objective = DenoisingObjective(network=network, config=self._recipe.karras, mean=part.mean, std=part.std)
        return self._fitted(network, objective, self._recipe.needs("teacher"))

    def _train_noisy(self, part: NoisyClassifier) -> nn.Module:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(step_seed(self._recipe.seed, f"{self._name}/weights", 0))
            classifier = build(part.network)
        classifier = classifier.to(self._training.device)
        preprocessing, sigmas = self._training.preprocessing, DiscreteSigmas(values=(part.sigma,))
        objective: Objective
        if part.weight:
            objective = RegularisedClassifierObjective(
                classifier=classifier,
                preprocessing=preprocessing,
                sigmas=sigmas,
                copies=part.copies,
                weight=part.weight,
                entropy_weight=part.entropy_weight,
            )
        else:
            objective = NoisyClassifierObjective(classifier=classifier, preprocessing=preprocessing, sigmas=sigmas)
        return self._fitted(classifier, objective, ())

    def _tune_classifier(self, part: TunedClassifier, second: nn.Module) -> nn.Module:
        classifier = frozen_copy(second).requires_grad_(True)
        objective = PurifiedClassifierObjective(
            classifier=classifier,
            preprocessing=self._training.preprocessing,
            purifier=self._training.purifier(part.purifier),
            sigmas=part.sigmas,
        )
        return self._fitted(classifier, objective, ("second-classifier", *self._recipe.needs(part.purifier)))

    def _fitted(self, module: nn.Module, objective: Objective, needs: tuple[StageName, ...]) -> nn.Module:
        self._training.fit(module, objective, self._name, self._part, needs)
        return module.eval().requires_grad_(False)
