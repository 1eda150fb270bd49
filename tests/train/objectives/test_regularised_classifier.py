"""Consistency regularisation is its equation: cross entropy, divergence from the mean, entropy of the mean."""

import math

import pytest
import torch
from torch import nn

from purecert.train.fitting.draws import Draws
from purecert.train.objectives.regularised_classifier import RegularisedClassifierObjective, regularised_loss
from purecert.train.objectives.sigmas import DiscreteSigmas
from support import written_out as ref


def _written_out(copies: list[list[float]], label: int, weight: float, entropy_weight: float) -> float:
    count = len(copies)
    mean = [sum(shares[c] for shares in copies) / count for c in range(len(copies[0]))]
    natural = sum(-math.log(shares[label]) for shares in copies) / count
    apart = sum(sum(m * math.log(m / p) for m, p in zip(mean, shares, strict=True)) for shares in copies) / count
    return natural + weight * apart - entropy_weight * sum(m * math.log(m) for m in mean)


@pytest.mark.parametrize("copies", [2, 3])
def test_the_loss_is_its_equation(copies: int) -> None:
    net, batch = ref.TinyClassifier(), ref.batch_of(rows=3, seed=3)
    objective = RegularisedClassifierObjective(
        classifier=net,
        preprocessing=nn.Identity(),
        sigmas=DiscreteSigmas(values=(0.25, 1.0)),
        copies=copies,
        weight=7.0,
        entropy_weight=0.4,
    )
    loss = objective(batch)
    draws = Draws(3, 3)
    chosen, noise = draws.category(torch.ones(2)), draws.normal(copies, 2, 2, 2)
    total = 0.0
    for row in range(3):
        x, sigma = ref.pixels_of(batch.images[row]), (0.25, 1.0)[int(chosen[row])]
        noisy = [ref.plus(x, 2 * sigma, ref.pixels_of(noise[row, i])) for i in range(copies)]
        shares = [ref.softmax(ref.logits(net, image)) for image in noisy]
        total += _written_out(shares, row % 3, 7.0, 0.4) / 3
    assert loss.item() == pytest.approx(total, rel=1e-6)
    loss.backward()
    assert ref.reached(net)


def test_a_share_of_zero_costs_no_nan() -> None:
    logits = torch.tensor([[[200.0, 0.0, 0.0], [0.0, 200.0, 0.0]]], requires_grad=True)
    loss = regularised_loss(logits, torch.tensor([0]), 1.0, 1.0)
    loss.backward()
    assert logits.grad is not None
    assert bool(torch.isfinite(logits.grad).all())
    # CE 100, and KL(F || F_i) = log(1/2) + 100 for both copies, H = log 2
    assert loss.item() == pytest.approx(200.0, rel=1e-6)


@pytest.mark.parametrize(("copies", "weight", "words"), [(1, 1.0, "copies"), (2, -1.0, ">= 0"), (2, math.nan, ">= 0")])
def test_a_single_copy_and_a_weight_below_zero_are_refused(copies: int, weight: float, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        RegularisedClassifierObjective(
            classifier=nn.Identity(),
            preprocessing=nn.Identity(),
            sigmas=DiscreteSigmas(values=(0.5,)),
            copies=copies,
            weight=weight,
        )
