"""Trains the stages of a recipe, each once, and puts each into a model that exports."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast, final

import torch
from torch import nn

from purecert.engine.errors import InputError
from purecert.train.distances.features import FeatureDistance
from purecert.train.distances.pixels import Distance, Huber, l1, l2
from purecert.train.fitting.data import Images, Sampler
from purecert.train.fitting.draws import step_seed
from purecert.train.fitting.keeping.configuration import plain
from purecert.train.fitting.loop import Fitting, fit
from purecert.train.fitting.session import Session
from purecert.train.models.checkpoints import Model
from purecert.train.models.preprocessing import Preprocessing
from purecert.train.networks.adm.unet import AdmUNet, AdmUNetConfig
from purecert.train.networks.resnet import ResNet, ResNetConfig
from purecert.train.networks.song.unet import SongUNet
from purecert.train.networks.wide_resnet import WideResNet
from purecert.train.objectives.clean_classifier import CleanClassifierObjective
from purecert.train.objectives.consistency import ConsistencyObjective
from purecert.train.objectives.denoising import DenoisingObjective
from purecert.train.objectives.distillation import DistillationObjective
from purecert.train.objectives.fine_tuning import FineTuningObjective
from purecert.train.objectives.objective import Objective
from purecert.train.purifiers.base import Purifier
from purecert.train.purifiers.consistency import ConsistencyPurifier
from purecert.train.purifiers.edm import EdmPurifier
from purecert.train.purifiers.identity import IdentityConfig, IdentityPurifier
from purecert.train.purifiers.karras import KarrasPurifier
from purecert.train.recipes.paper.recipe import (
    Classifier,
    DistanceName,
    FineTuning,
    PaperRecipe,
    StageName,
)
from purecert.train.recipes.paper.sources import Sources
from purecert.train.schedules.noise_levels import Curriculum, LognormalTimes
from purecert.train.strict.frozen import frozen_copy

_CLASSIFIERS: tuple[StageName, ...] = ("classifier", "second-classifier")


@final
class PaperTraining:
    """A recipe on its images. A stage that another one needs is trained first, or read where its state is finished."""

    def __init__(
        self,
        recipe: PaperRecipe,
        images: Images,
        session: Session,
        sources: Sources | None = None,
        fitting: Fitting = fit,
    ) -> None:
        """Train in ``session``; ``fitting`` is the loop, or what measures in its place.

        Raises:
            InputError: The images are not of the recipe's shape and classes.
        """
        recipe.data.check(images, recipe.name)
        self.recipe, self._images, self._session, self._fitting = recipe, images, session, fitting
        self._sources = sources or Sources()
        self._trained: dict[StageName, nn.Module] = {}
        self.preprocessing = Preprocessing(recipe.preprocessing).to(session.device).eval()

    def model(self, stage: StageName) -> Model:
        """Return the model of a stage: its classifier alone, or its purifier before the second classifier.

        Raises:
            InputError: The recipe has no such stage, or a file that it needs is missing.
        """
        if stage not in self.recipe.stages:
            raise InputError(f"{self.recipe.name} has the stages {', '.join(self.recipe.names)}; got {stage}")
        if stage in _CLASSIFIERS:
            return self.assemble(IdentityPurifier(IdentityConfig()).eval(), self.trained(stage), stage)
        return self.assemble(self.purifier(stage), self.trained("second-classifier"), stage)

    def purifier(self, stage: StageName) -> KarrasPurifier:
        """Return what the stage makes of noisy images, frozen."""
        return self._purifier(stage, self.trained(stage)).eval().requires_grad_(False)

    def trained(self, stage: StageName) -> nn.Module:
        """Return the stage's network, frozen."""
        if stage not in self._trained:
            self._trained[stage] = self._train(stage).eval().requires_grad_(False)
        return self._trained[stage]

    def _train(self, stage: StageName) -> nn.Module:
        recipe = self.recipe
        part = recipe.parts[stage]
        module = self._start(stage)
        self.fit(module, self._objective(stage, module), stage, part, recipe.needs(stage))
        return module

    def variant(self, recipe: PaperRecipe) -> "PaperTraining":
        """Return a training of the same recipe with another fine-tuning, which shares what is trained already."""
        other = PaperTraining(recipe, self._images, self._session, self._sources, self._fitting)
        other._trained = {name: network for name, network in self._trained.items() if name != "fine-tuning"}
        return other

    @property
    def device(self) -> torch.device:
        """Where the networks are."""
        return self._session.device

    def check(self, stages: Sequence[StageName]) -> None:
        """Read the files that the stages need, before minutes of training.

        Raises:
            InputError: One is missing or does not fit.
        """
        for stage in stages:
            if "lpips" in self.recipe.distances(stage):
                self._distance("lpips")
            if "transition" in self.recipe.needs(stage):
                self._sources.start(self.recipe.network)

    def fit(self, module: nn.Module, objective: Objective, stage: str, part: Any, needs: Sequence[StageName]) -> None:
        """Fit one network by its part's plan, so that it goes on only where all that decides its weights agrees.

        ``needs`` are the stages whose weights decide this one's.
        """
        recipe = self.recipe
        decides = {name: recipe.parts[name] for name in needs}
        has_lpips = any("lpips" in recipe.distances(name) for name in needs)
        configuration = plain(
            {
                "recipe": recipe.name,
                "network": recipe.network,
                "karras": recipe.karras,
                "preprocessing": recipe.preprocessing,
                "stages": decides | {stage: part},
                "files": self._sources.fingerprints(recipe, needs),
            }
            | ({"lpips": recipe.lpips} if has_lpips else {})
        )
        sampler = Sampler(
            images=self._images, batch=recipe.batch, augmentation=recipe.data.augmentation, seed=recipe.seed
        )
        self._fitting(module, objective, part.fit, sampler, replace(self._session, configuration=configuration))

    def _start(self, stage: StageName) -> nn.Module:
        """Return the stage's network as its training begins, on the session's device."""
        recipe = self.recipe
        if stage == "distillation":
            return frozen_copy(self.trained("teacher")).requires_grad_(True)
        if stage == "fine-tuning":
            return frozen_copy(self.trained(recipe.fine_tuning.start)).requires_grad_(True)
        if stage == "transition":
            return self._sources.start(recipe.network).requires_grad_(True).to(self._session.device)
        part = recipe.parts[stage]
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(step_seed(recipe.seed, f"{stage}/weights", 0))
            network = build(part.network) if isinstance(part, Classifier) else build(recipe.network)
        return network.to(self._session.device)

    def _objective(self, stage: StageName, module: nn.Module) -> Objective:
        recipe, karras = self.recipe, self.recipe.karras
        if stage == "teacher" and recipe.teacher:
            return DenoisingObjective(network=module, config=karras, mean=recipe.teacher.mean, std=recipe.teacher.std)
        if stage == "transition" and recipe.transition:
            return ConsistencyObjective(
                network=module,
                config=karras,
                times=LognormalTimes(mean=recipe.transition.mean, std=recipe.transition.std),
                curriculum=Curriculum(first=recipe.transition.points - 1, last=recipe.transition.points - 1),
            )
        if stage == "distillation" and recipe.distillation:
            return DistillationObjective(
                network=module,
                target=frozen_copy(module),
                teacher=self.trained("teacher"),
                config=karras,
                distance=self._distance(recipe.distillation.distance),
                points=recipe.distillation.points,
                decay=recipe.distillation.decay,
            )
        if stage == "fine-tuning":
            return self._fine_tuning(recipe.fine_tuning, module)
        part = cast(Classifier, recipe.parts[stage])
        return CleanClassifierObjective(
            classifier=module, preprocessing=self.preprocessing, label_smoothing=part.label_smoothing
        )

    def _fine_tuning(self, part: FineTuning, module: nn.Module) -> Objective:
        distance = self._distance(part.distance)
        return FineTuningObjective(
            purifier=self._purifier("fine-tuning", module), sigmas=part.sigmas, distance=distance
        )

    def _purifier(self, stage: StageName, network: nn.Module) -> KarrasPurifier:
        is_denoiser = (self.recipe.fine_tuning.start if stage == "fine-tuning" else stage) == "teacher"
        return (EdmPurifier if is_denoiser else ConsistencyPurifier)(self.recipe.karras, network)

    def _distance(self, name: DistanceName) -> Distance:
        match name:
            case "l1":
                return l1
            case "l2":
                return l2
            case "huber":
                return Huber()
            case "lpips":
                return self._sources.lpips(self.recipe.lpips).to(self._session.device)
            case "features":
                layers = self.recipe.fine_tuning.layers
                return FeatureDistance(self.trained("classifier"), self.preprocessing, layers).eval()

    def assemble(self, purifier: Purifier, classifier: nn.Module, what: str) -> Model:
        """Return the model of these two modules, with where they come from."""
        recipe = self.recipe
        steps = ", ".join(f"{name} {recipe.parts[name].fit.steps}" for name in recipe.stages)
        command = f"engine-train {recipe.name} --stage {what} --seed {recipe.seed}"
        return Model(
            purifier=purifier,
            classifier=classifier,
            preprocessing=self.preprocessing,
            input_shape=recipe.data.shape,
            classes=recipe.data.classes,
            class_names=self._images.class_names,
            data=recipe.data.train,
            sources=(
                f"{command} on {recipe.data.train}; steps: {steps}",
                *self._sources.said,
            ),
            licence=f"Apache-2.0, the purecert authors; made from {recipe.data.licence}",
        )


def build(config: Any) -> nn.Module:
    """Return a new network of a configuration, with the weights that it is born with."""
    if isinstance(config, AdmUNetConfig):
        return AdmUNet(config)
    if isinstance(config, ResNetConfig):
        return ResNet(config)
    return SongUNet(config) if hasattr(config, "img_resolution") else WideResNet(config)
