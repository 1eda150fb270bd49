"""Comparisons: each stands on the path's stages, is trained by its own numbers, and its model exports."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from purecert.engine.errors import InputError
from purecert.export.fusing.fuse import fuse
from purecert.train.fitting.data import Images
from purecert.train.fitting.progress import Silent
from purecert.train.fitting.session import Session
from purecert.train.models.checkpoints import load_model, save_model
from purecert.train.purifiers.consistency import ConsistencyPurifier
from purecert.train.purifiers.edm import EdmPurifier, OdePurifier
from purecert.train.purifiers.identity import IdentityPurifier
from purecert.train.recipes.paper.compared import check_files, model_of, stages_below
from purecert.train.recipes.paper.comparisons import Comparison, NoisyClassifier, OtherTuning, TrainedOn
from purecert.train.recipes.paper.fashion_mnist import FASHION_MNIST
from purecert.train.recipes.paper.recipe import PaperRecipe
from purecert.train.recipes.paper.stages import PaperTraining

_NIGHTLY = (pytest.mark.slow, pytest.mark.nightly)
_TRIED = ("ode", "fine-tuning-l2")  # every time
_KINDS = {
    "teacher-on": EdmPurifier,
    "ode": OdePurifier,
    "fine-tuning-l1": ConsistencyPurifier,
    "fine-tuning-l2": ConsistencyPurifier,
    "fine-tuning-uniform": ConsistencyPurifier,
    "teacher-fine-tuning": EdmPurifier,
    "classifier-tuning": ConsistencyPurifier,
    "classifier-tuning-both": ConsistencyPurifier,
    "noisy-25": IdentityPurifier,
    "regularised-100": IdentityPurifier,
}


class _Begun(Silent):
    def __init__(self) -> None:
        self.stages: list[str] = []

    def begin(self, stage: str, step: int, steps: int) -> None:
        if step < steps:
            self.stages.append(stage)


@pytest.fixture(scope="module")
def begun() -> _Begun:
    return _Begun()


@pytest.fixture(scope="module")
def training(work: Path, recipe: PaperRecipe, images: Images, begun: _Begun) -> PaperTraining:
    return PaperTraining(recipe, images, Session(folder=work, progress=begun))


@pytest.mark.parametrize("name", [pytest.param(name, marks=() if name in _TRIED else _NIGHTLY) for name in _KINDS])
def test_a_comparison_trains_itself_alone_and_exports(
    name: str, training: PaperTraining, begun: _Begun, tmp_path: Path
) -> None:
    begun.stages.clear()
    save_model(model_of(training, name), tmp_path / "model.pt")
    assert begun.stages == ([] if name == "ode" else [name])
    model = load_model(tmp_path / "model.pt")
    assert type(model.purifier) is _KINDS[name]
    assert f"--stage {name}" in model.sources[0]
    labels, logits = fuse(model, 0.5)(torch.zeros(1, 1, 28, 28))
    assert (labels.shape, logits.shape) == ((1,), (1, 10))
    judged = model.classifier.state_dict()["fc.weight"]
    second = training.trained("second-classifier").state_dict()["fc.weight"]
    has_own = name.startswith(("classifier", "noisy", "regularised"))
    assert torch.equal(judged, second) is not has_own


def test_a_comparison_starts_at_the_stage_that_it_compares_with(training: PaperTraining) -> None:
    starts = {"teacher-on": "teacher", "fine-tuning-l1": "distillation", "teacher-fine-tuning": "teacher"}
    for name, stage in starts.items():
        network, start = model_of(training, name).purifier.network, training.trained(stage)  # type: ignore[arg-type]
        pairs = list(zip(network.parameters(), start.parameters(), strict=True))
        assert not all(torch.equal(one, other) for one, other in pairs)
        assert all(torch.allclose(one, other, atol=1e-2) for one, other in pairs)  # one step of AdamW away


def test_it_goes_on_only_where_what_it_stands_on_and_its_own_numbers_are_the_same(
    training: PaperTraining, work: Path, recipe: PaperRecipe, images: Images, tmp_path: Path
) -> None:
    model_of(training, "teacher-on")
    model_of(training, "noisy-25")
    assert recipe.teacher is not None
    other = replace(recipe, teacher=replace(recipe.teacher, std=1.1))
    copy = shutil.copytree(work, tmp_path / "work", ignore=shutil.ignore_patterns("teacher"))
    with pytest.raises(InputError, match=r"teacher-on.*std was 1\.0 and is now 1\.1"):  # though its teacher is new
        model_of(PaperTraining(other, images, Session(folder=copy)), "teacher-on")
    for name, changed in (
        ("teacher-on", _changed(recipe, "teacher-on", std=1.1)),
        ("noisy-25", _changed(recipe, "noisy-25", sigma=0.3)),
    ):
        with pytest.raises(InputError, match=r"was .* and is now (1\.1|0\.3)"):
            model_of(PaperTraining(changed, images, Session(folder=work)), name)


def _changed(recipe: PaperRecipe, name: str, **fields: float) -> PaperRecipe:
    parts = [
        replace(each, part=replace(each.part, **fields)) if each.name == name else each  # type: ignore[arg-type]
        for each in recipe.comparisons
    ]
    return replace(recipe, comparisons=tuple(parts))


def test_files_are_asked_for_before_anything_is_trained(recipe: PaperRecipe, images: Images) -> None:
    training = PaperTraining(recipe, images, Session())
    with pytest.raises(InputError, match="--lpips-weights FILE"):
        check_files(training, ("fine-tuning-lpips",))
    check_files(training, ("fine-tuning-l1", "classifier-tuning"))
    perceptual = replace(recipe, fine_tuning=replace(recipe.fine_tuning, distance="lpips"))
    with pytest.raises(InputError, match="--lpips-weights FILE"):
        check_files(PaperTraining(perceptual, images, Session()), ("classifier-tuning-both",))
    with pytest.raises(InputError, match=r"the stages .*teacher-on.*; got teacher-off"):
        model_of(training, "teacher-off")


def test_what_a_row_stands_on_is_what_is_counted() -> None:
    below = {name: stages_below(FASHION_MNIST, name) for name in FASHION_MNIST.names}
    assert below["second-classifier"] == ("second-classifier",)
    assert below["ode"] == ("second-classifier", "teacher")
    assert below["fine-tuning"] == ("second-classifier", "classifier", "teacher", "distillation", "fine-tuning")
    assert below["fine-tuning-l1"] == ("second-classifier", "teacher", "distillation", "fine-tuning-l1")
    assert below["teacher-fine-tuning"] == ("second-classifier", "classifier", "teacher", "teacher-fine-tuning")
    assert below["classifier-tuning"] == ("second-classifier", "teacher", "distillation", "classifier-tuning")
    assert below["regularised-50"] == ("regularised-50",)


def test_the_teacher_is_trained_on_for_what_the_rest_of_the_path_costs() -> None:
    gflop = {"teacher": 41.93, "distillation": 83.93, "fine-tuning": 52.49}  # of a step, by the dry run
    (on,) = (each.part for each in FASHION_MNIST.comparisons if isinstance(each.part, TrainedOn))
    steps = {name: part.fit.steps for name, part in FASHION_MNIST.parts.items()}
    rest = sum(steps[name] * gflop[name] for name in ("distillation", "fine-tuning"))
    assert on.fit.steps * gflop["teacher"] == pytest.approx(rest, rel=2e-3)


def test_the_recipe_has_every_row_of_the_paper_and_its_controls() -> None:
    noisy = [each.part for each in FASHION_MNIST.comparisons if isinstance(each.part, NoisyClassifier)]
    assert [(part.sigma, part.weight) for part in noisy] == [
        *((sigma, 0.0) for sigma in (0.25, 0.5, 1.0)),
        *((0.25, 20.0), (0.5, 10.0), (1.0, 10.0)),
    ]
    tunings = [each.part for each in FASHION_MNIST.comparisons if isinstance(each.part, OtherTuning)]
    assert {part.distance for part in tunings} == {"l1", "l2", "lpips", None}
    with pytest.raises(ValueError, match="must have its name"):
        Comparison(name="other", part=tunings[0])
