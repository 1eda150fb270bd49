"""The loss of a classifier agrees with its equation."""

import math

import pytest
import torch

from purecert.train.objectives.purified import cross_entropy


def test_uniform_logits_cost_the_logarithm_of_the_classes() -> None:
    labels = torch.tensor([0, 3])
    assert cross_entropy(torch.zeros(2, 10), labels).item() == pytest.approx(math.log(10))
    assert cross_entropy(torch.zeros(2, 10), labels, smoothing=0.1).item() == pytest.approx(math.log(10))
