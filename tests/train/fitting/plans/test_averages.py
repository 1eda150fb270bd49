"""Averages of weights follow their equations."""

import pytest
import torch
from torch import nn

from purecert.train.fitting.plans.averages import FixedDecay, HalfLife, WeightAverage


def test_an_average_of_constant_weights_is_the_weights() -> None:
    module = nn.Linear(2, 2)
    expected = module.weight.detach().clone()
    average = WeightAverage(module, HalfLife(steps=10.0))
    for step in range(1, 50):
        average.update(step)
    average.store()
    torch.testing.assert_close(module.weight.detach(), expected)


def test_an_average_moves_half_way_in_a_half_life() -> None:
    module = nn.Linear(1, 1, bias=False)
    average = WeightAverage(module, HalfLife(steps=20.0))
    start = module.weight.item()
    module.weight.data += 1
    for step in range(10_000, 10_020):  # long after the ramp
        average.update(step)
    average.store()
    assert module.weight.item() == pytest.approx(start + 0.5, abs=1e-5)


def test_a_fixed_decay_keeps_its_share_at_every_step() -> None:
    module = nn.Linear(1, 1, bias=False).double()
    start = module.weight.item()
    average = WeightAverage(module, FixedDecay(share=0.9))
    module.weight.data += 1
    for step in range(1, 6):
        average.update(step)
    average.store()
    assert module.weight.item() == pytest.approx(start + 1 - 0.9**5, abs=1e-12)


def test_no_half_life_is_the_weights_themselves() -> None:
    assert HalfLife(steps=0.0).decay(5) == 0
