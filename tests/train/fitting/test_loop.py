"""The loop steps, reports and stops where numbers fail."""

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from purecert.engine.errors import CheckError
from purecert.train.fitting.data import Augmentation, Sampler
from purecert.train.fitting.draws import Batch
from purecert.train.fitting.loop import fit
from purecert.train.fitting.plans.averages import HalfLife
from purecert.train.fitting.plans.fit import Fit
from purecert.train.fitting.plans.optimizers import Sgd
from purecert.train.fitting.plans.rates import Constant
from purecert.train.fitting.processes.group import Processes
from purecert.train.fitting.progress import Silent, StepReport
from purecert.train.fitting.session import Session
from purecert.train.fitting.step import find_slope, move
from support.toy_training import PLAN, toy_images, toy_network, toy_objective, toy_sampler, train_toy

_PLAIN = Fit(stage="test", steps=25, learning_rate=1e-2, optimizer=Sgd(momentum=0.0), schedule=Constant())


class _Kept(Silent):
    def __init__(self) -> None:
        self.lines: list[StepReport] = []

    def report(self, line: StepReport) -> None:
        self.lines.append(line)


def _linear_loss(module: nn.Module) -> Tensor:
    loss: Tensor = module(torch.ones(1, 1)).square().sum()
    return loss


def test_every_step_is_reported_once_on_screen_and_on_disk(tmp_path: Path) -> None:
    module, kept, losses = nn.Linear(1, 1), _Kept(), []

    def objective(batch: Batch) -> Tensor:
        losses.append(_linear_loss(module).item())
        return _linear_loss(module)

    plan = replace(_PLAIN, report_every=10)
    fit(module, objective, plan, toy_sampler(), Session(folder=tmp_path, progress=kept))
    assert [(line.step, line.steps) for line in kept.lines] == [(10, 25), (20, 25), (25, 25)]
    parts = [losses[:10], losses[10:20], losses[20:]]
    assert [line.loss for line in kept.lines] == pytest.approx([sum(part) / len(part) for part in parts])
    written = (tmp_path / "test" / "metrics.jsonl").read_text().splitlines()
    assert [StepReport(**json.loads(line)) for line in written] == kept.lines


def test_plain_descent_follows_its_equation_and_the_average_is_what_is_left() -> None:
    module = nn.Linear(1, 1, bias=False).double()
    weight, average = module.weight.item(), module.weight.item()
    plan = replace(_PLAIN, steps=6, average=HalfLife(steps=3.0), learning_rate=0.1)
    for step in range(6):
        weight -= 0.1 * 2 * weight
        decay = plan.average.decay(step + 1)
        average = decay * average + (1 - decay) * weight
    fit(module, lambda batch: module(torch.ones(1, 1).double()).square().sum(), plan, toy_sampler())
    assert module.weight.item() == pytest.approx(average, rel=1e-12)
    assert not module.training


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_ends_training_with_the_last_good_state_kept(tmp_path: Path, value: float) -> None:
    module = nn.Linear(1, 1)

    def objective(batch: Batch) -> Tensor:
        return _linear_loss(module) * (value if batch.step == 9 else 1)

    plan = replace(_PLAIN, save_every=4)
    state = tmp_path / "test" / "state.pt"
    said = rf"^test: step 9: the loss is {value}; lower .*; the state after 8 steps is in {state}$"
    with pytest.raises(CheckError, match=said):
        fit(module, objective, plan, toy_sampler(), Session(folder=tmp_path))
    held = torch.load(state, weights_only=True)
    assert held["tally"]["step"] == 8
    assert all(bool(weight.isfinite().all()) for weight in held["module"].values())
    with pytest.raises(CheckError, match="nothing was saved"):
        fit(nn.Linear(1, 1), lambda batch: _linear_loss(module) * value, plan, toy_sampler())


def test_a_gradient_that_is_not_finite_moves_no_weight() -> None:
    module = nn.Linear(1, 1)
    before = module.weight.item()
    with pytest.raises(CheckError, match="the gradient's norm is nan"):
        fit(module, lambda batch: (_linear_loss(module) * 0).sqrt(), _PLAIN, toy_sampler())
    assert module.weight.item() == before


def test_weights_that_overflow_are_not_saved(tmp_path: Path) -> None:
    plan = replace(_PLAIN, steps=1, learning_rate=3e38)
    for session in (Session(folder=tmp_path), Session()):
        module = nn.Linear(1, 1, bias=False)
        with pytest.raises(CheckError, match=r"test: a weight after 1 steps is not finite; .*nothing was saved"):
            fit(module, lambda batch, m=module: m(torch.full((1, 1), 2.0)).sum(), plan, toy_sampler(), session)
    assert not (tmp_path / "test" / "state.pt").exists()


@pytest.mark.parametrize(("length", "clip", "moved"), [(3.0, None, 3.0), (3.0, 0.5, 0.5), (0.25, 0.5, 0.25)])
def test_a_long_gradient_is_shortened(length: float, clip: float | None, moved: float) -> None:
    module = nn.Linear(2, 1, bias=False).double()
    before = module.weight.detach().clone()
    direction = torch.tensor([[0.6, 0.8]], dtype=torch.float64)
    optimizer = torch.optim.SGD(module.parameters(), lr=0.0)
    batch = toy_sampler().draw("test", 0)
    slope = find_slope(module, lambda _: (module.weight * direction).sum() * length, batch, "fp32", Processes())
    move(module, optimizer, slope, 1.0, clip)
    assert slope.norm == pytest.approx(length, rel=1e-12)
    torch.testing.assert_close(before - module.weight.detach(), direction * moved, rtol=1e-5, atol=0)


def test_bf16_computes_in_bf16_and_keeps_fp32_weights() -> None:
    seen: list[torch.dtype] = []
    network = toy_network()
    network.register_forward_hook(lambda module, given, result: seen.append(result.dtype))
    fit(network, toy_objective(network), replace(PLAN, steps=2, precision="bf16"), toy_sampler())
    assert set(seen) == {torch.bfloat16}
    assert {p.dtype for p in network.parameters()} == {torch.float32}


def test_dropout_and_noise_follow_from_the_seed_whatever_was_drawn_before() -> None:
    first = train_toy(Session(), replace(PLAN, steps=3))
    torch.rand(7)
    before = torch.random.get_rng_state()
    again = train_toy(Session(), replace(PLAN, steps=3))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert torch.equal(torch.random.get_rng_state(), before)
    sampler = Sampler(images=toy_images(), batch=16, augmentation=Augmentation(), seed=6)
    network = toy_network()
    fit(network, toy_objective(network), replace(PLAN, steps=3), sampler)
    assert not torch.equal(next(network.parameters()), first[0])


def test_an_objective_that_moves_says_what_the_state_must_hold() -> None:
    class Half:
        def __call__(self, batch: Batch) -> Tensor:
            raise AssertionError

        def after_step(self, step: int) -> None:
            raise AssertionError

    with pytest.raises(TypeError, match="says in kept"):
        fit(nn.Linear(1, 1), Half(), _PLAIN, toy_sampler())
