"""A classifier learns from purified images; the purifier learns nothing."""

import math

import pytest
import torch
from torch import nn

from purecert.train.fitting.draws import Draws
from purecert.train.objectives.purified_classifier import PurifiedClassifierObjective
from purecert.train.objectives.sigmas import DiscreteSigmas
from purecert.train.purifiers.consistency import ConsistencyPurifier
from purecert.train.purifiers.karras import KarrasConfig
from support import written_out as ref


@pytest.mark.parametrize("clean_share", [0.0, 0.5])
def test_the_loss_is_the_cross_entropy_of_what_the_purifier_made(clean_share: float) -> None:
    net, cleaner, batch = (
        ref.TinyClassifier(),
        ref.TinyNetwork().eval().requires_grad_(False),
        ref.batch_of(rows=6, seed=9),
    )
    objective = PurifiedClassifierObjective(
        classifier=net,
        preprocessing=nn.Identity(),
        purifier=ConsistencyPurifier(KarrasConfig(), cleaner).eval(),
        sigmas=DiscreteSigmas(values=(0.25, 0.5)),
        clean_share=clean_share,
    )
    loss = objective(batch)
    draws = Draws(9, 6)
    noise, chosen, left = draws.normal(2, 2, 2), draws.category(torch.ones(2)), draws.uniform()
    assert not clean_share or 0 < int((left < clean_share).sum()) < 6  # both kinds are in the batch
    total = 0.0
    for row in range(6):
        x, sigma = ref.pixels_of(batch.images[row]), (0.25, 0.5)[int(chosen[row])]
        seen = ref.denoised(cleaner, ref.plus(x, 2 * sigma, ref.pixels_of(noise[row])), 2 * sigma, 0.5, 0.002)
        shares = ref.softmax(ref.logits(net, x if float(left[row]) < clean_share else seen))
        total -= math.log(shares[row % 3]) / 6
    assert loss.item() == pytest.approx(total, rel=1e-6)
    loss.backward()
    assert ref.reached(net)
    assert ref.untouched(cleaner)


@pytest.mark.parametrize("share", [-0.1, 1.0, math.nan])
def test_a_batch_of_clean_images_alone_is_refused(share: float) -> None:
    with pytest.raises(ValueError, match="clean_share"):
        PurifiedClassifierObjective(
            classifier=nn.Identity(),
            preprocessing=nn.Identity(),
            purifier=ConsistencyPurifier(KarrasConfig(), nn.Identity()),
            sigmas=DiscreteSigmas(values=(0.5,)),
            clean_share=share,
        )


def test_the_purifier_must_be_frozen() -> None:
    with pytest.raises(ValueError, match="the purifier must be frozen"):
        PurifiedClassifierObjective(
            classifier=nn.Identity(),
            preprocessing=nn.Identity(),
            purifier=ConsistencyPurifier(KarrasConfig(), ref.TinyNetwork()),
            sigmas=DiscreteSigmas(values=(0.5,)),
        )
