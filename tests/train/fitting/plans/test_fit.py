"""Plans: rates, optimisers, and what is refused."""

import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from purecert.train.fitting.keeping.configuration import plain
from purecert.train.fitting.plans.averages import FixedDecay, HalfLife
from purecert.train.fitting.plans.fit import Fit
from purecert.train.fitting.plans.optimizers import AdamW, Optimizer, RAdam, Sgd
from purecert.train.fitting.plans.rates import Constant, Cosine, Staircase

_PLAN = Fit(stage="test", steps=1000, learning_rate=2.0)


def test_a_cosine_warms_up_and_falls_to_zero() -> None:
    plan = replace(_PLAN, schedule=Cosine(warm_up=10))
    assert plan.rate(0) == pytest.approx(0.2, rel=1e-3)
    assert plan.rate(500) == pytest.approx(1.0)
    assert 0 < plan.rate(999) < 2e-5


def test_a_constant_rate_warms_up_and_stays() -> None:
    plan = replace(_PLAN, schedule=Constant(warm_up=4))
    assert [plan.rate(step) for step in (0, 1, 3, 4, 999)] == [0.5, 1.0, 2.0, 2.0, 2.0]


def test_a_staircase_falls_at_its_parts_of_the_training() -> None:
    plan = replace(_PLAN, schedule=Staircase(at=(0.3, 0.6), factor=0.5))
    assert [plan.rate(step) for step in (0, 299, 300, 599, 600, 999)] == [2.0, 2.0, 1.0, 1.0, 0.5, 0.5]


def _descended(optimizer: Optimizer, steps: int) -> list[float]:
    """Return the weight after each step down w^2 / 2 from 1, at a rate of .1."""
    weight = nn.Parameter(torch.ones(1, dtype=torch.float64))
    built, path = optimizer.build([weight]), []
    for _ in range(steps):
        built.param_groups[0]["lr"] = 0.1
        weight.grad = weight.detach().clone()
        built.step()
        path.append(weight.item())
    return path


@pytest.mark.parametrize(("nesterov", "decay"), [(False, 0.0), (True, 0.0), (True, 0.3)])
def test_gradient_descent_follows_its_equation(nesterov: bool, decay: float) -> None:
    weight, speed, expected = 1.0, 0.0, []
    for _ in range(4):
        gradient = weight + decay * weight
        speed = 0.9 * speed + gradient
        weight -= 0.1 * (gradient + 0.9 * speed if nesterov else speed)
        expected.append(weight)
    found = _descended(Sgd(momentum=0.9, nesterov=nesterov, weight_decay=decay), 4)
    assert found == pytest.approx(expected, rel=1e-12)


def test_adamw_decays_apart_from_its_gradient() -> None:
    weight, mean, square = 1.0, 0.0, 0.0
    for step in range(1, 5):
        gradient = weight
        weight -= 0.1 * 0.5 * weight
        mean, square = 0.8 * mean + 0.2 * gradient, 0.9 * square + 0.1 * gradient**2
        weight -= 0.1 * (mean / (1 - 0.8**step)) / (math.sqrt(square / (1 - 0.9**step)) + 1e-8)
    assert _descended(AdamW(betas=(0.8, 0.9), weight_decay=0.5), 4)[-1] == pytest.approx(weight, rel=1e-9)


def test_radam_is_momentum_until_its_variance_is_known_and_decays_apart_from_its_gradient() -> None:
    weight, mean = 1.0, 0.0
    for step in range(1, 4):  # with beta2 = .9 no variance is used before step 6 (Liu et al. 2020, algorithm 2)
        gradient = weight
        weight -= 0.1 * 0.5 * weight
        mean = 0.8 * mean + 0.2 * gradient
        weight -= 0.1 * mean / (1 - 0.8**step)
    assert _descended(RAdam(betas=(0.8, 0.9), weight_decay=0.5), 3)[-1] == pytest.approx(weight, rel=1e-9)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: replace(_PLAN, stage="../up"), "stage must be small letters"),
        (lambda: replace(_PLAN, steps=0), "must be at least 1"),
        (lambda: replace(_PLAN, save_every=0), "must be at least 1"),
        (lambda: replace(_PLAN, learning_rate=math.nan), "learning_rate must be finite"),
        (lambda: replace(_PLAN, clip=0.0), "clip must be finite and > 0"),
        (lambda: replace(_PLAN, precision="fp16"), "fp32 or bf16"),
        (lambda: Cosine(warm_up=-1), "warm_up must be at least 0"),
        (lambda: Staircase(at=(0.6, 0.3)), "at must rise"),
        (lambda: Staircase(factor=1.5), "factor must be in"),
        (lambda: Sgd(momentum=0.0, nesterov=True), "nesterov needs a momentum"),
        (lambda: AdamW(betas=(0.9, 1.0)), "betas must be in"),
        (lambda: RAdam(weight_decay=-1.0), "weight_decay must be finite"),
        (lambda: HalfLife(steps=math.nan), "half-life must be finite"),
        (lambda: FixedDecay(share=1.0), "decay must be in"),
    ],
)
def test_numbers_out_of_range_are_refused(make: object, words: str) -> None:
    assert callable(make)
    with pytest.raises(ValueError, match=words):
        make()


def test_a_plain_plan_names_its_kinds_and_leaves_out_what_decides_no_weight() -> None:
    first, second = plain(_PLAN), plain(replace(_PLAN, optimizer=RAdam(), report_every=7, save_every=7))
    assert first | {"optimizer": 0} == second | {"optimizer": 0}
    assert (first["optimizer"]["kind"], second["optimizer"]["kind"]) == ("AdamW", "RAdam")
