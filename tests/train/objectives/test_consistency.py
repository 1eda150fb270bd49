"""Consistency training's loss is its equation, written out image by image."""

import math
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import pytest
import torch

from purecert.train.distances.pixels import Distance, Huber, l1
from purecert.train.fitting.draws import Draws
from purecert.train.objectives.consistency import ConsistencyObjective, consistency_loss
from purecert.train.purifiers.karras import KarrasConfig
from purecert.train.schedules.noise_levels import Curriculum, LognormalTimes, NoiseRange
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


@pytest.mark.parametrize(("distance", "written"), [(Huber(), ref.hypotenuse), (l1, ref.mean_absolute)])
def test_an_objective_draws_neighbours_of_the_steps_grid(
    distance: Distance, written: Callable[[ref.Pixels, ref.Pixels], float]
) -> None:
    net, batch = ref.TinyNetwork(), replace(ref.batch_of(rows=4, seed=3), step=70)
    objective = ConsistencyObjective(
        network=net,
        config=_CONFIG,
        times=LognormalTimes(mean=-0.3, std=1.0),
        curriculum=Curriculum(first=4, last=8, steps=100),
        distance=distance,
    )
    draws = Draws(3, 4)
    grid = [(0.002 ** (1 / 7) + i / 8 * (4 ** (1 / 7) - 0.002 ** (1 / 7))) ** 7 for i in range(9)]  # 8 from step 50 on
    edges = [math.erf((math.log(t) + 0.3) / math.sqrt(2)) for t in grid]
    mass = torch.tensor([b - a for a, b in pairwise(edges)], dtype=torch.float64)
    intervals, noise = draws.category(mass / mass.sum()), draws.normal(2, 2, 2).double()
    total = 0.0
    for row, interval in enumerate(intervals.tolist()):
        s, t = grid[interval], grid[interval + 1]
        x, z = ref.pixels_of(batch.images[row]), ref.pixels_of(noise[row])
        moved, target = (ref.denoised(net, ref.plus(x, level, z), level, 0.6, 0.002) for level in (t, s))
        total += written(moved, target) / (t - s) / 4
    assert objective(batch).item() == pytest.approx(total, rel=1e-6)
