"""Consistency training's loss is its equation, written out image by image."""

import pytest
import torch

from purecert.train.objectives.consistency import consistency_loss
from purecert.train.purifiers.karras import KarrasConfig
from purecert.train.schedules.noise_levels import NoiseRange
from support import written_out as ref

_CONFIG = KarrasConfig(sigma_data=0.6, levels=NoiseRange(t_max=4.0))


def test_the_consistency_loss_is_the_weighted_distance_of_neighbours() -> None:
    net, batch = ref.TinyNetwork(), ref.batch_of(rows=3)
    noise = batch.draws.normal(2, 2, 2).double()
    low, high = torch.tensor([[0.002, 0.5, 2.0], [0.1, 0.7, 3.0]], dtype=torch.float64)
    total = 0.0
    for row, (t, s) in enumerate(zip(high.tolist(), low.tolist(), strict=True)):
        x, z = ref.pixels_of(batch.images[row]), ref.pixels_of(noise[row])
        moved, target = (ref.denoised(net, ref.plus(x, level, z), level, 0.6, 0.002) for level in (t, s))
        total += ref.hypotenuse(moved, target) / (t - s) / 3
    loss = consistency_loss(net, _CONFIG, batch.images, noise, high, low)
    assert loss.item() == pytest.approx(total, rel=1e-6)
    loss.backward()
    assert ref.reached(net)


def test_the_target_of_the_consistency_loss_gets_no_gradient() -> None:
    net, batch = ref.TinyNetwork(), ref.batch_of(rows=1)
    noise = batch.draws.normal(2, 2, 2).double()
    times = torch.tensor([0.7], dtype=torch.float64)
    # At the boundary D is the identity, so only a gradient through the target could reach the weights.
    lowest = torch.tensor([_CONFIG.levels.t_min], dtype=torch.float64)
    consistency_loss(net, _CONFIG, batch.images, noise, lowest, times).backward()
    assert all(p.grad is None or not p.grad.any() for p in net.parameters())
