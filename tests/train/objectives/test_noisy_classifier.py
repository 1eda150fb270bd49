"""A noise-trained classifier's loss is its equation."""

import math

import pytest
import torch
from torch import nn

from purecert.train.fitting.draws import Draws
from purecert.train.objectives.noisy_classifier import NoisyClassifierObjective, cross_entropy
from purecert.train.objectives.sigmas import DiscreteSigmas
from support import written_out as ref


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_the_loss_is_the_cross_entropy_on_noisy_images(smoothing: float) -> None:
    net, batch = ref.TinyClassifier(), ref.batch_of(rows=3, seed=8)
    sigmas = DiscreteSigmas(values=(0.5,))
    loss = NoisyClassifierObjective(
        classifier=net, preprocessing=nn.Identity(), sigmas=sigmas, label_smoothing=smoothing
    )(batch)
    noise = Draws(8, 3).normal(2, 2, 2)
    total = 0.0
    for row in range(3):
        shares = ref.softmax(
            ref.logits(net, ref.plus(ref.pixels_of(batch.images[row]), 1.0, ref.pixels_of(noise[row])))
        )
        wanted = [smoothing / 3 + (1 - smoothing) * (c == row % 3) for c in range(3)]
        total -= sum(w * math.log(p) for w, p in zip(wanted, shares, strict=True)) / 3
    assert loss.item() == pytest.approx(total, rel=1e-6)
    loss.backward()
    assert ref.reached(net)


def test_uniform_logits_cost_the_logarithm_of_the_classes() -> None:
    labels = torch.tensor([0, 3])
    assert cross_entropy(torch.zeros(2, 10), labels).item() == pytest.approx(math.log(10))
    assert cross_entropy(torch.zeros(2, 10), labels, smoothing=0.1).item() == pytest.approx(math.log(10))
