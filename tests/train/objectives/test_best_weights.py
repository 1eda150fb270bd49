"""The best weights of a training are kept, through an interruption too; noise of the measure is always the same."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from purecert.train.fitting.data import Images
from purecert.train.fitting.draws import Batch, Draws
from purecert.train.fitting.loop import fit
from purecert.train.fitting.plans.fit import Fit
from purecert.train.fitting.plans.optimizers import Sgd
from purecert.train.fitting.plans.rates import Constant
from purecert.train.fitting.session import Session
from purecert.train.networks.conditioned import SigmaClassifier
from purecert.train.objectives.best_weights import BestWeights, BestWeightsObjective, noisy_accuracy
from purecert.train.objectives.objective import Objective
from support.toy_training import toy_sampler

# Each step takes 1 off the weight.
_PLAN = Fit(stage="test", steps=7, learning_rate=1.0, optimizer=Sgd(momentum=0.0), schedule=Constant(), save_every=1)


class _Weight(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.value = nn.Parameter(torch.zeros(()))


class _Down(Objective):
    __slots__ = ("weight",)

    def __init__(self, weight: _Weight) -> None:
        self.weight = weight

    def __call__(self, batch: Batch) -> Tensor:
        return self.weight.value * 1.0


def _measured(weight: _Weight, values: Iterator[float]) -> BestWeightsObjective:
    return BestWeightsObjective(
        objective=_Down(weight),
        trained=weight,
        best=BestWeights(weight),
        measure=lambda: next(values),
        every=2,
        steps=_PLAN.steps,
    )


def _best(objective: BestWeightsObjective) -> float:
    module = objective.best.module
    assert isinstance(module, _Weight)
    return module.value.item()


@pytest.mark.parametrize(
    ("values", "best"),
    [((0.1, 0.3, 0.3, 0.2), -4), ((0.1, 0.2, 0.3, 0.4), -7), ((float("nan"), 0.0, float("nan"), 0.0), -4)],
)
def test_the_first_of_the_best_is_kept_and_the_last_step_is_measured_too(
    values: tuple[float, ...], best: float
) -> None:
    objective = _measured(weight := _Weight(), iter(values))
    fit(weight, objective, _PLAN, toy_sampler())
    assert (weight.value.item(), _best(objective)) == (-7, best)


def test_an_interrupted_training_remembers_its_best(tmp_path: Path) -> None:
    session = Session(folder=tmp_path)
    fit(first := _Weight(), _measured(first, iter((0.1, 0.9))), replace(_PLAN, steps=4), toy_sampler(), session)
    state = torch.load(tmp_path / "test" / "state.pt", weights_only=True)
    state["configuration"]["fit"]["steps"] = _PLAN.steps  # as if it had been cut there
    torch.save(state, tmp_path / "test" / "state.pt")
    objective = _measured(weight := _Weight(), iter((0.5, 0.6)))
    fit(weight, objective, _PLAN, toy_sampler(), session)
    assert (weight.value.item(), _best(objective), float(objective.best.value)) == (-7, -4, 0.9)


class _BySign(SigmaClassifier):
    """Class 1 where the pixel is above 0; it remembers in which mode it was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.unused = nn.Parameter(torch.zeros(()))
        self.saw: list[tuple[bool, float]] = []

    def forward(self, noisy: Tensor, sigma: float) -> Tensor:
        self.saw.append((self.training, sigma))
        x = noisy.flatten(1)
        return torch.cat([-x, x], dim=1)


def test_noisy_accuracy_is_the_share_of_right_names_with_the_same_noise_each_time() -> None:
    rows = 4000
    pixels = torch.full((rows, 1, 1, 1), 0.5)
    images = Images(pixels=pixels, labels=torch.ones(rows, dtype=torch.int64), classes=2)
    classifier = _BySign().train()
    found = [noisy_accuracy(classifier, images, 0.5, seed) for seed in (0, 0, 1)]
    assert found[0] == found[1] != found[2]
    assert set(classifier.saw) == {(False, 0.5)}
    assert classifier.training
    expected = torch.distributions.Normal(0.0, 1.0).cdf(torch.tensor(0.5)).item()  # of .5 + z > 0, with z of std 2 x .5
    assert abs(found[0] - expected) < 4 * (expected * (1 - expected) / rows) ** 0.5


def test_numbers_below_one_are_refused() -> None:
    with pytest.raises(ValueError, match="every and steps must be at least 1"):
        replace(_measured(_Weight(), iter(())), every=0)


def test_the_loss_is_the_inner_objectives() -> None:
    weight = _Weight()
    batch = Batch(images=torch.zeros(1, 1, 1, 1), labels=torch.zeros(1), step=0, draws=Draws(0, 1))
    with torch.no_grad():
        weight.value.fill_(3.0)
    assert _measured(weight, iter(()))(batch).item() == 3.0
