"""Trains the stages of a recipe of rRCM, each once, and puts each classifier into a model that exports."""

from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar, final

import torch
from torch import nn

from purecert.engine.errors import InputError
from purecert.train.fitting.data import Augmentation, Images, Sampler, hold_out
from purecert.train.fitting.draws import step_seed
from purecert.train.fitting.keeping.configuration import plain
from purecert.train.fitting.loop import Fitting, fit
from purecert.train.fitting.plans.fit import Fit
from purecert.train.fitting.processes.batch_norm import share_batch_norms
from purecert.train.fitting.session import Session
from purecert.train.models.checkpoints import Model
from purecert.train.models.preprocessing import Preprocessing, PreprocessingConfig
from purecert.train.networks.rrcm.classifier import RrcmClassifier, RrcmClassifierConfig
from purecert.train.networks.rrcm.moco_start import start_as_moco
from purecert.train.networks.rrcm.vit import RrcmVit
from purecert.train.objectives.best_weights import BestWeights, BestWeightsObjective, noisy_accuracy
from purecert.train.objectives.objective import Objective
from purecert.train.objectives.rrcm.pretraining import RrcmPretrainingObjective, following_copy
from purecert.train.objectives.rrcm.tuning import RrcmTuningObjective
from purecert.train.purifiers.identity import IdentityConfig, IdentityPurifier
from purecert.train.recipes.rrcm.recipe import STILL, Probe, RrcmRecipe, Tuning
from purecert.train.schedules.rrcm import CeilingCurriculum, SigmoidDecay
from purecert.train.strict.frozen import frozen_copy

Made = TypeVar("Made", bound=nn.Module)


@final
class RrcmTraining:
    """A recipe on its images. A stage that another one needs is trained first, or read where its state is finished."""

    def __init__(self, recipe: RrcmRecipe, images: Images, session: Session, fitting: Fitting = fit) -> None:
        """Train in ``session``; ``fitting`` is the loop, or what measures in its place.

        Raises:
            InputError: The images are not of the recipe's shape and classes, or fewer than its labels.
        """
        recipe.data.check(images, recipe.name)
        self._recipe, self._images, self._session, self._fitting = recipe, images, session, fitting
        labelled = images if recipe.labels in (None, len(images.labels)) else _labelled(images, recipe)
        # Neither probe nor tuning sees the labels by which the best weights are chosen.
        self._kept, self._held = hold_out(labelled, min(recipe.held_out, len(labelled.labels) // 5), recipe.seed)
        self._pretrained: RrcmVit | None = None
        self._classifiers: dict[str, RrcmClassifier] = {}

    def model(self, name: str) -> Model:
        """Return the model of the probe or of a tuning: no purifier, and a classifier that is asked at its sigma.

        Raises:
            InputError: The recipe has no such stage.
        """
        if name not in self._recipe.names:
            raise InputError(f"{self._recipe.name} has the stages {', '.join(self._recipe.names)}; got {name}")
        return self._assembled(self.classifier(name), name)

    def pretrained(self) -> RrcmVit:
        """Return the network that was trained without labels, frozen."""
        if self._pretrained is None:
            part = self._recipe.pretraining
            network = self._seeded("pretraining", self._new_network).to(self._session.device)
            share_batch_norms(network, self._session.processes)
            objective = self._contrast(network)
            self._fit(network, objective, part.fit, part.batch, STILL, self._images, ("pretraining",))
            self._pretrained = network.requires_grad_(False)
        return self._pretrained

    def classifier(self, name: str) -> RrcmClassifier:
        """Return the classifier of the probe or of a tuning, frozen."""
        if name not in self._classifiers:
            part = self._recipe.parts[name]
            trained = self._probe(part) if isinstance(part, Probe) else self._tune(part)
            self._classifiers[name] = trained.eval().requires_grad_(False)
        return self._classifiers[name]

    def _contrast(self, network: RrcmVit) -> Objective:
        recipe, part = self._recipe, self._recipe.pretraining
        return RrcmPretrainingObjective(
            network=network,
            target=following_copy(network),
            views=part.views,
            curriculum=CeilingCurriculum(first=part.first, last=part.last, steps=part.fit.steps),
            decay=SigmoidDecay(end=part.slowest, sharpness=part.sharpness, steps=part.fit.steps),
            levels=recipe.levels,
            processes=self._session.processes,
        )

    def _probe(self, part: Probe) -> RrcmClassifier:
        classifier = self._seeded(part.fit.stage, self._new_classifier)
        classifier.base_model.load_state_dict(self.pretrained().state_dict())
        classifier.base_model.requires_grad_(False)
        objective = RrcmTuningObjective(classifier=classifier, sigma=0.0, copies=1, weight=0.0, entropy_weight=1.0)
        needs = self._recipe.needs(part.fit.stage)
        self._fit(classifier, objective, part.fit, part.batch, part.augmentation, self._kept, needs)
        return classifier

    def _tune(self, part: Tuning) -> RrcmClassifier:
        name = part.fit.stage
        if part.from_pretraining:
            classifier = frozen_copy(self.classifier(self._recipe.probe.fit.stage)).requires_grad_(True)
        else:
            classifier = self._seeded(name, self._new_classifier)
        _leave_out_what_is_not_used(classifier, part)
        best = BestWeights(classifier)
        objective = BestWeightsObjective(
            objective=RrcmTuningObjective(
                classifier=classifier,
                sigma=part.sigma,
                copies=part.copies,
                weight=part.weight,
                entropy_weight=part.entropy_weight,
            ),
            trained=classifier,
            best=best,
            measure=lambda: noisy_accuracy(classifier, self._held, part.sigma, self._recipe.seed),
            every=part.measured_every,
            steps=part.fit.steps,
        )
        self._fit(classifier, objective, part.fit, part.batch, part.augmentation, self._kept, self._recipe.needs(name))
        chosen = best.module
        assert isinstance(chosen, RrcmClassifier)
        return chosen

    def _new_network(self) -> RrcmVit:
        network = RrcmVit(self._recipe.network)
        return start_as_moco(network) if self._recipe.pretraining.starts_as_moco else network

    def _new_classifier(self) -> RrcmClassifier:
        recipe = self._recipe
        config = RrcmClassifierConfig(
            network=recipe.network,
            classes=recipe.data.classes,
            normalises=recipe.normalises,
            levels=recipe.levels,
            grid_points=recipe.pretraining.last + 1,
        )
        return RrcmClassifier(config).to(self._session.device)

    def _seeded(self, stage: str, make: Callable[[], Made]) -> Made:
        """Return what ``make`` makes with the first weights that seed and stage decide."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(step_seed(self._recipe.seed, f"{stage}/weights", 0))
            return make()

    def _fit(
        self,
        module: nn.Module,
        objective: Objective,
        plan: Fit,
        batch: int,
        augmentation: Augmentation,
        images: Images,
        needs: tuple[str, ...],
    ) -> None:
        recipe = self._recipe
        stages = {"pretraining": recipe.pretraining, **recipe.parts}
        configuration = plain(
            {
                "recipe": recipe.name,
                "network": recipe.network,
                "normalises": recipe.normalises,
                "levels": recipe.levels,
                "stages": {name: stages[name] for name in needs},
            }
        )
        sampler = Sampler(images=images, batch=batch, augmentation=augmentation, seed=recipe.seed)
        self._fitting(module, objective, plan, sampler, replace(self._session, configuration=configuration))

    def _assembled(self, classifier: RrcmClassifier, name: str) -> Model:
        recipe = self._recipe
        stages = {"pretraining": recipe.pretraining, **recipe.parts}
        steps = ", ".join(f"{each} {stages[each].fit.steps}" for each in recipe.needs(name))
        labels = "" if recipe.labels is None else f" --labels {recipe.labels}"
        command = f"engine-train {recipe.name} --stage {name} --seed {recipe.seed}{labels}"
        half = (0.5,) * recipe.data.shape[0]
        return Model(
            purifier=IdentityPurifier(IdentityConfig()).eval(),
            classifier=classifier,
            preprocessing=Preprocessing(PreprocessingConfig(mean=half, std=half)).eval(),
            input_shape=recipe.data.shape,
            classes=recipe.data.classes,
            class_names=self._images.class_names,
            data=recipe.data.train,
            sources=(f"{command} on {recipe.data.train}; steps: {steps}",),
            licence=f"Apache-2.0, the purecert authors; made from {recipe.data.licence}",
        )


def _labelled(images: Images, recipe: RrcmRecipe) -> Images:
    """Return the images that have labels.

    Raises:
        InputError: There are fewer images.
    """
    assert recipe.labels is not None
    if recipe.labels > len(images.labels):
        raise InputError(f"expected at least {recipe.labels} training images for --labels, found {len(images.labels)}")
    return hold_out(images, recipe.labels, recipe.seed)[1]


def _leave_out_what_is_not_used(classifier: RrcmClassifier, part: Tuning) -> None:
    """Freeze what no logit depends on, and the head where it is to stay."""
    classifier.base_model.projection_head.requires_grad_(False)
    if not classifier.config.normalises:
        classifier.base_model.norm.requires_grad_(False)
    if not part.trains_head:
        classifier.linear_head.requires_grad_(False)
