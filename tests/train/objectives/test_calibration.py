"""The calibrated denoiser's loss is what we say it is; the classifier that it asks learns nothing."""

import math

import pytest
import torch
from torch import nn

from purecert.train.fitting.draws import Draws
from purecert.train.objectives.calibration import CalibrationObjective, brier_score
from purecert.train.objectives.sigmas import DiscreteSigmas
from purecert.train.purifiers.edm import EdmPurifier
from purecert.train.purifiers.karras import KarrasConfig
from support import written_out as ref


def test_the_calibrated_loss_is_its_equation() -> None:
    net, batch = ref.TinyNetwork(), ref.batch_of(rows=3, seed=7)
    judge = ref.TinyClassifier().eval().requires_grad_(False)
    objective = CalibrationObjective(
        purifier=EdmPurifier(KarrasConfig(sigma_data=0.6), net),
        classifier=judge,
        preprocessing=nn.Identity(),
        sigmas=DiscreteSigmas(values=(0.25, 0.5)),
        weight=3.0,
    )
    loss = objective(batch)
    draws = Draws(7, 3)
    chosen, noise = draws.category(torch.ones(2)), draws.normal(2, 2, 2)
    total = 0.0
    for row in range(3):
        x, t = ref.pixels_of(batch.images[row]), 2 * (0.25, 0.5)[int(chosen[row])]
        clean = ref.denoised(net, ref.plus(x, t, ref.pixels_of(noise[row])), t, 0.6, 0.0)
        shares = ref.softmax(ref.logits(judge, clean))
        score = sum((p - (c == row % 3)) ** 2 for c, p in enumerate(shares))
        total += ((t**2 + 0.36) / (t * 0.6) ** 2 * ref.mean_square(clean, x) + 3 * score) / 3
    assert loss.item() == pytest.approx(total, rel=1e-6)
    loss.backward()
    assert ref.reached(net)
    assert ref.untouched(judge)


def test_the_score_is_least_at_the_true_probabilities() -> None:
    labels = torch.tensor([0] * 7 + [1] * 3)
    at = {p: brier_score(torch.tensor([[math.log(p), math.log(1 - p)]] * 10), labels).item() for p in (0.6, 0.7, 0.8)}
    assert min(at, key=lambda p: at[p]) == 0.7
    assert at[0.7] == pytest.approx(0.7 * 2 * 0.3**2 + 0.3 * 2 * 0.7**2, rel=1e-6)


@pytest.mark.parametrize("weight", [-1.0, math.nan, math.inf])
def test_a_weight_below_zero_is_refused(weight: float) -> None:
    with pytest.raises(ValueError, match=">= 0"):
        CalibrationObjective(
            purifier=EdmPurifier(KarrasConfig(), nn.Identity()),
            classifier=nn.Identity(),
            preprocessing=nn.Identity(),
            sigmas=DiscreteSigmas(values=(0.5,)),
            weight=weight,
        )


def test_the_classifier_must_be_frozen() -> None:
    with pytest.raises(ValueError, match="the classifier must be frozen"):
        CalibrationObjective(
            purifier=EdmPurifier(KarrasConfig(), nn.Identity()),
            classifier=ref.TinyClassifier().eval(),
            preprocessing=nn.Identity(),
            sigmas=DiscreteSigmas(values=(0.5,)),
        )
