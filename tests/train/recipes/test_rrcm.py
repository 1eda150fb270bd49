"""Recipes of rRCM: each stage trains what it needs, once; its model exports; the published numbers are there."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from purecert.engine.errors import InputError
from purecert.export.fusing.fuse import fuse
from purecert.train.fitting.data import Images, Sampler
from purecert.train.fitting.loop import fit
from purecert.train.fitting.plans.fit import Fit
from purecert.train.fitting.progress import Silent
from purecert.train.fitting.session import Session
from purecert.train.models.checkpoints import load_model, save_model
from purecert.train.networks.rrcm.classifier import RrcmClassifier
from purecert.train.networks.rrcm.vit import RrcmVit
from purecert.train.objectives.objective import Objective
from purecert.train.recipes.asking import Asked
from purecert.train.recipes.cost import Meter, describe, measure
from purecert.train.recipes.known import rrcm_recipe
from purecert.train.recipes.rrcm.recipe import RrcmRecipe, Tuning
from purecert.train.recipes.rrcm.training import RrcmTraining

_PLAN = Fit(stage="large", steps=1, learning_rate=1e-3)
_NAMES = ["rrcm-fashion-mnist", "rrcm-cifar10-small", "rrcm-cifar10", "rrcm-imagenet", "rrcm-imagenet-s"]


class _Begun(Silent):
    def __init__(self) -> None:
        self.stages: list[tuple[str, int]] = []

    def begin(self, stage: str, step: int, steps: int) -> None:
        self.stages.append((stage, step))


def _small(name: str = "rrcm-fashion-mnist") -> RrcmRecipe:
    """Return the recipe at a reduced size: narrow, shallow, a step a stage, and few classes."""
    recipe = rrcm_recipe(name).scaled(1e-9)
    shape = replace(
        recipe.network, image_size=16, patch_size=8, width=8, depth=2, heads=2, projection_hidden=8, projection_width=4
    )
    return replace(
        recipe,
        data=replace(recipe.data, shape=(shape.channels, 16, 16), classes=10),
        network=shape,
        pretraining=replace(recipe.pretraining, batch=4),
        probe=replace(recipe.probe, batch=4),
        tunings=tuple(replace(part, batch=4) for part in recipe.tunings),
    )


def _images(recipe: RrcmRecipe) -> Images:
    generator = torch.Generator().manual_seed(0)
    pixels = torch.rand(20, *recipe.data.shape, generator=generator) * 2 - 1
    return Images(pixels=pixels, labels=torch.arange(20) % 10, classes=10, fingerprint="twenty")


def test_all_sigmas_stand_on_one_pretraining_and_scratch_on_none(tmp_path: Path) -> None:
    recipe, begun, alone = _small(), _Begun(), _Begun()
    training = RrcmTraining(recipe, _images(recipe), Session(folder=tmp_path, progress=begun))
    for name in ("tuning-25", "tuning-100"):
        save_model(training.model(name), tmp_path / f"{name}.pt")
    scratch = RrcmTraining(recipe, _images(recipe), Session(progress=alone)).model("scratch-50")
    save_model(scratch, tmp_path / "scratch-50.pt")
    assert begun.stages == [(name, 0) for name in ("pretraining", "probe", "tuning-25", "tuning-100")]
    assert alone.stages == [("scratch-50", 0)]
    other = training.classifier("scratch-50").state_dict()  # where a pre-trained network is at hand
    assert all(torch.equal(other[key], value) for key, value in scratch.classifier.state_dict().items())
    model = load_model(tmp_path / "tuning-25.pt")
    assert isinstance(model.classifier, RrcmClassifier)
    labels, logits = fuse(model, 0.25)(torch.zeros(2, *recipe.data.shape))
    assert (labels.shape, logits.shape) == ((2,), (2, 10))
    assert "pretraining 1, probe 1, tuning-25 1" in model.sources[0]
    assert "steps: scratch-50 1" in load_model(tmp_path / "scratch-50.pt").sources[0]


def test_finished_stages_are_read_and_give_the_same_weights(tmp_path: Path) -> None:
    recipe, begun = _small(), _Begun()
    first = RrcmTraining(recipe, _images(recipe), Session(folder=tmp_path)).model("tuning-50")
    again = RrcmTraining(recipe, _images(recipe), Session(folder=tmp_path, progress=begun)).model("tuning-50")
    assert begun.stages == [("pretraining", 1), ("probe", 1), ("tuning-50", 1)]
    for key, value in first.classifier.state_dict().items():
        assert torch.equal(again.classifier.state_dict()[key], value), key


def test_a_stage_moves_what_it_should_and_nothing_else() -> None:
    recipe = _small()
    training = RrcmTraining(recipe, _images(recipe), Session())
    pretrained, probe = training.pretrained(), training.classifier("probe")
    base = probe.base_model.state_dict()
    assert all(torch.equal(base[key], value) for key, value in pretrained.state_dict().items())
    tuned = training.classifier("tuning-25").state_dict()
    moved = {key for key, value in probe.state_dict().items() if not torch.equal(tuned[key], value)}
    assert {"base_model.patch_embed.proj.weight", "linear_head.weight"} <= moved
    assert not any("projection_head" in key or key.startswith("base_model.norm.") for key in moved)


def test_the_weights_that_do_best_on_held_out_noisy_images_are_the_tunings(monkeypatch: pytest.MonkeyPatch) -> None:
    small = _small()
    tunings = tuple(replace(part, fit=replace(part.fit, steps=3), measured_every=1) for part in small.tunings)
    recipe, asked = replace(small, tunings=tunings), list[tuple[Images, float, Tensor]]()

    def measure(classifier: RrcmClassifier, images: Images, sigma: float, seed: int) -> float:
        asked.append((images, sigma, classifier.linear_head.weight.detach().clone()))
        return {1: 0.2, 2: 0.9, 3: 0.4}[len(asked)]

    monkeypatch.setattr("purecert.train.recipes.rrcm.training.noisy_accuracy", measure)
    trained_on = list[Images]()

    def note(module: nn.Module, objective: Objective, plan: Fit, sampler: Sampler, session: Session) -> None:
        trained_on.append(sampler.images)
        fit(module, objective, plan, sampler, session)

    images = _images(recipe)
    tuned = RrcmTraining(recipe, images, Session(), note).classifier("tuning-50").linear_head.weight
    (held, *_), sigmas, weights = (list(each) for each in zip(*asked, strict=True))
    assert sigmas == [0.5] * 3
    assert torch.equal(tuned, weights[1])
    assert not torch.equal(tuned, weights[2])
    pretraining, probe, tuning = trained_on
    assert pretraining is images
    assert len(held.labels) == 4  # a fifth
    for seen in (probe, tuning):
        rows = [set(map(bytes, each.pixels.numpy())) for each in (seen, held)]
        assert (len(rows[0]), len(rows[0] & rows[1])) == (16, 0)


def test_with_few_labels_the_classifier_sees_those_images_alone_and_the_pretraining_all() -> None:
    recipe, seen = replace(_small(), labels=10), dict[str, tuple[int, str]]()

    def note(module: nn.Module, objective: Objective, plan: Fit, sampler: Sampler, session: Session) -> None:
        seen[plan.stage] = (len(sampler.images.labels), sampler.images.fingerprint)

    model = RrcmTraining(recipe, _images(recipe), Session(), note).model("tuning-25")
    assert {stage: count for stage, (count, _) in seen.items()} == {"pretraining": 20, "probe": 8, "tuning-25": 8}
    assert "without 2 of 10 of twenty, by seed 0" in seen["probe"][1]
    assert "--seed 0 --labels 10 on" in model.sources[0]
    with pytest.raises(InputError, match="expected at least 21 training images for --labels, found 20"):
        RrcmTraining(replace(recipe, labels=21), _images(recipe), Session())
    RrcmTraining(replace(recipe, labels=20), _images(recipe), Session())  # all of them


def test_a_head_may_stay_the_probes() -> None:
    recipe = _small()
    tunings = tuple(replace(part, trains_head=False) for part in recipe.tunings if part.from_pretraining)
    training = RrcmTraining(replace(recipe, tunings=tunings), _images(recipe), Session())
    probe, tuned = (training.classifier(name).linear_head.weight for name in ("probe", "tuning-25"))
    assert torch.equal(probe, tuned)


@pytest.mark.parametrize("name", _NAMES)
def test_every_recipe_trains_at_a_reduced_size(name: str) -> None:
    recipe = _small(name)
    model = RrcmTraining(recipe, _images(recipe), Session()).model(recipe.names[-1])
    assert fuse(model, 1.0)(torch.zeros(2, *recipe.data.shape))[1].shape == (2, 10)


# Of the official configurations (prior art): pre-training's batch, rate, weight decay, warm-up, average and sharpness.
_PRETRAINED = {
    "rrcm-cifar10": (91_425_282, 300_000, 2048, 1e-4, 0.0, 10_000, 0.9999, 15.0),
    "rrcm-imagenet": (106_776_066, 600_000, 4096, 2e-4, 0.03, 15_000, 0.99, 10.0),
    "rrcm-imagenet-s": (25_185_282, 600_000, 4096, 1e-4, 0.01, 10_000, 0.99, 10.0),
}
# Of tuning at sigma .25, .5 and 1: epochs, rate for 256 images, batch, layer decay and lambda.
_TUNED = {
    "rrcm-cifar10": ((100, 2e-4, 1024, 0.75, 10), (100, 2e-4, 1024, 0.75, 20), (100, 2e-4, 1024, 0.65, 20)),
    "rrcm-imagenet": ((150, 2e-4, 1024, 0.65, 10), (50, 2e-4, 2048, 0.65, 20), (150, 1e-4, 256, 0.65, 20)),
}
_TUNED["rrcm-imagenet-s"] = _TUNED["rrcm-imagenet"]


@pytest.mark.parametrize("name", _PRETRAINED)
def test_the_papers_recipes_have_its_networks_and_numbers(name: str) -> None:
    recipe = rrcm_recipe(name)
    with torch.device("meta"):
        network = RrcmVit(recipe.network)
    elements = sum(value.numel() for value in network.state_dict().values())
    part, fit_ = recipe.pretraining, recipe.pretraining.fit
    found = (elements, fit_.steps, part.batch, fit_.learning_rate, fit_.optimizer.weight_decay)
    more = (getattr(fit_.schedule, "warm_up", None), fit_.average.decay(10**6), part.sharpness)
    assert (*found, *more) == _PRETRAINED[name]
    assert (fit_.clip, fit_.clip_after, part.first, part.last) == (2.0, more[0], 20, 80)
    assert part.starts_as_moco == recipe.normalises == name.startswith("rrcm-imagenet")
    is_small = name == "rrcm-cifar10"
    images, warm = (50_000, 10) if is_small else (1_281_167, 5)  # epochs of warm-up
    assert [tuning.sigma for tuning in recipe.tunings] == [0.25, 0.5, 1.0]
    for tuning, (epochs, rate, batch, decay, weight) in zip(recipe.tunings, _TUNED[name], strict=True):
        assert (tuning.batch, tuning.fit.layer_decay, tuning.weight) == (batch, decay, weight)
        assert (tuning.copies, tuning.entropy_weight) == (2, 0.5)
        assert tuning.fit.learning_rate == pytest.approx(rate * batch / 256)
        assert tuning.fit.steps == pytest.approx(epochs * images / batch, abs=1)
        assert getattr(tuning.fit.schedule, "warm_up", None) == pytest.approx(warm * images / batch, abs=1)
        assert tuning.fit.optimizer.weight_decay == 0


def test_both_arms_on_fashion_mnist_pass_as_many_images() -> None:
    """Forward passes, with two for one backwards: one pre-training serves three sigmas and counts in full."""
    recipe = rrcm_recipe("rrcm-fashion-mnist")
    arms = {True: 0, False: 0}
    for part in recipe.tunings:
        arms[part.from_pretraining] += part.fit.steps * part.batch * part.copies * 3
    arms[True] += recipe.pretraining.fit.steps * recipe.pretraining.batch * (3 * 3 + 3)
    arms[True] += recipe.probe.fit.steps * recipe.probe.batch
    assert arms[False] == pytest.approx(arms[True], rel=0.01)


def test_a_dry_run_counts_the_stages_and_says_the_time_at_a_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = Asked(recipe="rrcm-fashion-mnist", stage="tuning-25")
    configuration, costs = measure(asked, rows=2)
    assert [cost.stage for cost in costs] == ["pretraining", "probe", "tuning-25"]
    assert all(cost.flops > 0 and cost.seconds > 0 for cost in costs)
    hours = sum(cost.steps * cost.flops for cost in costs) / 1e10 / 3600
    monkeypatch.setattr("purecert.train.recipes.cost.measure", lambda _: (configuration, costs))
    assert f"at 0.01 TFLOP/s, if all steps ran at that rate: {hours:.1f} hours" in describe(asked, tflops=0.01)
    assert "TFLOP/s" not in describe(asked)


def test_two_rows_stand_for_the_batch_of_a_large_network_even_where_its_head_alone_is_trained() -> None:
    class _Large(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Linear(5000, 5000, bias=False).requires_grad_(False)
            self.head = nn.Linear(8, 1)

    module, meter = _Large(), Meter()
    sampler = Sampler(images=_images(_small()), batch=16)
    meter(module, lambda batch: module.head(batch.images.flatten(1)[:, :8]).mean(), _PLAN, sampler, Session())  # type: ignore[arg-type]  # an objective
    assert (meter.found[0].rows, meter.found[0].batch, meter.found[0].parameters) == (2, 16, 9)


def test_what_does_not_fit_is_said() -> None:
    with pytest.raises(
        InputError, match=r"rrcm-fashion-mnist has the stages probe, tuning-25.*; got --stage pretraining"
    ):
        Asked(recipe="rrcm-fashion-mnist", stage="pretraining").rrcm()
    recipe = _small()
    with pytest.raises(InputError, match=r"expects images \(1, 16, 16\) of 10 classes, found"):
        RrcmTraining(recipe, replace(_images(recipe), classes=3), Session())
    with pytest.raises(ValueError, match="expected a recipe of rRCM"):
        rrcm_recipe("digits")
    tuning = recipe.tunings[0]
    with pytest.raises(ValueError, match="comes from a probe"):
        replace(tuning, trains_head=False, from_pretraining=False)
    with pytest.raises(ValueError, match="learn at one rate"):
        replace(recipe, tunings=(replace(tuning, from_pretraining=False),))
    assert isinstance(tuning, Tuning)
