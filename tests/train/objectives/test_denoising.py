"""EDM's loss is its equation, written out."""

import math

import pytest

from purecert.train.fitting.draws import Draws
from purecert.train.objectives.denoising import DenoisingObjective
from purecert.train.purifiers.karras import KarrasConfig
from support import written_out as ref


def test_the_denoising_loss_is_its_equation() -> None:
    net, batch = ref.TinyNetwork(), ref.batch_of(rows=3, seed=5)
    objective = DenoisingObjective(network=net, config=KarrasConfig(sigma_data=0.6), mean=-0.9, std=1.1)
    loss = objective(batch)
    draws = Draws(5, 3)
    normals, noise = draws.normal(), draws.normal(2, 2, 2)
    total = 0.0
    for row in range(3):
        t = math.exp(-0.9 + 1.1 * float(normals[row]))
        x = ref.pixels_of(batch.images[row])
        found = ref.denoised(net, ref.plus(x, t, ref.pixels_of(noise[row])), t, 0.6, 0.0)
        total += (t**2 + 0.36) / (t * 0.6) ** 2 * ref.mean_square(found, x) / 3
    assert loss.item() == pytest.approx(total, rel=1e-6)
    loss.backward()
    assert ref.reached(net)


@pytest.mark.parametrize("std", [0.0, -1.0, math.nan, math.inf])
def test_times_that_do_not_spread_are_refused(std: float) -> None:
    with pytest.raises(ValueError, match="std > 0"):
        DenoisingObjective(network=ref.TinyNetwork(), config=KarrasConfig(), std=std)
