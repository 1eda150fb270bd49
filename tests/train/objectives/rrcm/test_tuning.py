"""rRCM's fine-tuning loss is its equation, with copies and without noise; the head gets a gradient."""

import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from purecert.engine.errors import InputError
from purecert.train.fitting.draws import Draws
from purecert.train.networks.rrcm.classifier import RrcmClassifier, RrcmClassifierConfig
from purecert.train.networks.rrcm.vit import RrcmVitConfig
from purecert.train.objectives.rrcm.tuning import RrcmTuningObjective
from support import written_out as ref

_SHAPE = RrcmVitConfig(
    image_size=8, channels=2, width=16, depth=1, heads=2, mlp_ratio=2, projection_hidden=4, projection_width=4
)
_BATCH = {"rows": 3, "seed": 5, "size": 8}


def _objective(**changes: float) -> RrcmTuningObjective:
    torch.manual_seed(0)
    classifier = RrcmClassifier(RrcmClassifierConfig(network=_SHAPE, classes=3)).double()
    nn.init.normal_(classifier.linear_head.weight)
    return replace(RrcmTuningObjective(classifier=classifier, sigma=0.5), **changes)  # type: ignore[arg-type]


def _written_out(shares: list[list[float]], label: int, weight: float, entropy_weight: float) -> float:
    count = len(shares)
    mean = [sum(share[c] for share in shares) / count for c in range(3)]
    right = sum(-math.log(share[label]) for share in shares) / count
    apart = sum(sum(m * math.log(m / p) for m, p in zip(mean, share, strict=True)) for share in shares) / count
    return right + weight * apart - entropy_weight * sum(m * math.log(m) for m in mean)


@pytest.mark.parametrize(
    ("sigma", "copies", "weight", "entropy_weight"), [(0.25, 2, 10.0, 0.5), (1.0, 3, 20.0, 0.5), (0.0, 1, 0.0, 1.0)]
)
def test_the_loss_is_its_equation(sigma: float, copies: int, weight: float, entropy_weight: float) -> None:
    objective = _objective(sigma=sigma, copies=copies, weight=weight, entropy_weight=entropy_weight)
    classifier, batch = objective.classifier, ref.batch_of(**_BATCH)
    loss = objective(batch)
    noise, total = Draws(5, 3).normal(copies, 2, 8, 8), 0.0
    for row in range(3):
        shares = []
        for copy in range(copies):  # one noisy image at a time
            noisy = batch.images[row] + 2 * sigma * noise[row, copy]
            shares.append(ref.softmax(classifier(noisy[None], sigma)[0].tolist()))
        total += _written_out(shares, row % 3, weight, entropy_weight) / 3
    assert loss.item() == pytest.approx(total, rel=1e-6)
    loss.backward()
    unused = ("base_model.norm.", "base_model.projection_head.")  # of this feature
    for name, weight_ in classifier.named_parameters():
        assert (weight_.grad is None) == name.startswith(unused), name


def test_a_linear_probe_moves_the_head_alone() -> None:
    objective = _objective(sigma=0.0, copies=1, weight=0.0, entropy_weight=1.0)
    objective.classifier.base_model.requires_grad_(False)
    objective(ref.batch_of(**_BATCH)).backward()
    assert ref.reached(objective.classifier.linear_head)
    assert ref.untouched(objective.classifier.base_model)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"copies": 1}, "one copy agrees with itself"),
        ({"copies": 0, "weight": 0.0}, "at least 2, or 1 with weight 0"),
        ({"weight": math.nan}, "weights must be finite"),
        ({"entropy_weight": -1.0}, "weights must be finite"),
    ],
)
def test_a_single_copy_and_an_impossible_weight_are_refused(changes: dict[str, float], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        _objective(**changes)


@pytest.mark.parametrize("sigma", [-0.1, math.nan, 41.0])
def test_noise_without_a_level_is_refused(sigma: float) -> None:
    with pytest.raises(InputError, match="sigma"):
        _objective(sigma=sigma)
