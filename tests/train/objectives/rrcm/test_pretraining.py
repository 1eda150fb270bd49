"""rRCM's pre-training loss is the sum of its terms, at one pair of levels a step; its target follows a schedule."""

from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from purecert.train.fitting.draws import Batch, Draws
from purecert.train.networks.rrcm.vit import RrcmVit, RrcmVitConfig
from purecert.train.objectives.rrcm import pretraining
from purecert.train.objectives.rrcm.contrast import consistency_term, contrastive_term
from purecert.train.objectives.rrcm.pretraining import RrcmPretrainingObjective, following_copy
from purecert.train.schedules.noise_levels import NoiseRange
from purecert.train.schedules.rrcm import CeilingCurriculum, SigmoidDecay
from support import written_out as ref

_SHAPE = RrcmVitConfig(
    image_size=8, channels=2, width=16, depth=1, heads=2, mlp_ratio=2, projection_hidden=12, projection_width=6
)
_ROWS = 6


def _views(images: Tensor, draws: Draws) -> tuple[Tensor, Tensor, Tensor]:
    return images, images.flip(3), images + 0.1 * draws.normal(2, 8, 8)


def _objective() -> RrcmPretrainingObjective:
    torch.manual_seed(0)
    network, other = RrcmVit(_SHAPE), RrcmVit(_SHAPE)
    return RrcmPretrainingObjective(
        network=network,
        target=following_copy(other),
        views=_views,
        curriculum=CeilingCurriculum(first=4, last=8, steps=10),
        decay=SigmoidDecay(start=0.5, end=0.9, steps=10),
        levels=NoiseRange(t_max=5.0),
        temperature=0.3,
    )


def _batch(step: int, seed: int = 3) -> Batch:
    images = torch.randn(_ROWS, 2, 8, 8, generator=torch.Generator().manual_seed(1))
    labels = torch.zeros(_ROWS, dtype=torch.int64)
    return Batch(images=images, labels=labels, step=step, draws=Draws(seed, _ROWS))


@pytest.mark.parametrize(("step", "points"), [(0, 5), (5, 9)])
def test_the_loss_is_the_sum_of_its_three_terms(step: int, points: int) -> None:
    objective, batch = _objective(), _batch(step)
    loss = objective(batch)
    grid, draws = NoiseRange(t_max=5.0).grid(points), Draws(3, _ROWS)
    n = draws.shared_integer(points - 1)
    x, a, b = _views(batch.images, draws)
    z = draws.normal(2, 8, 8)
    gather, project, target = (lambda rows: rows), objective.network.project, objective.target.project
    expected = (
        contrastive_term(project, target, (a, b), z, 0.002, gather, 0.3)
        + contrastive_term(project, target, (b, a), z, 0.002, gather, 0.3)
        + consistency_term(objective.network.represent, x, z, grid[n], grid[n + 1], gather, 0.3)
    )
    torch.testing.assert_close(loss, expected)
    loss.backward()
    assert ref.reached(objective.network)
    assert ref.untouched(objective.target)


def test_all_neighbours_of_the_grid_are_drawn_and_no_others(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: set[tuple[float, float]] = set()

    def note(represent: object, x: Tensor, z: Tensor, high: float, low: float, *shared: object) -> Tensor:
        seen.add((high, low))
        return torch.zeros(())

    monkeypatch.setattr(pretraining, "consistency_term", note)
    monkeypatch.setattr(pretraining, "contrastive_term", lambda *inputs: torch.zeros(()))
    for seed in range(40):
        _objective()(_batch(0, seed))
    grid = NoiseRange(t_max=5.0).grid(5)
    assert seen == set(pairwise(grid))


def test_the_target_follows_by_its_schedule_and_keeps_its_own_statistics() -> None:
    objective = _objective()
    objective(_batch(0))  # batch norms of both have seen the batch
    before = [p.clone() for p in objective.target.parameters()]
    buffers = [b.clone() for b in objective.target.buffers()]
    objective.after_step(3)
    mu = SigmoidDecay(start=0.5, end=0.9, steps=10).decay(3)
    for old, new, trained in zip(before, objective.target.parameters(), objective.network.parameters(), strict=True):
        torch.testing.assert_close(new, mu * old + (1 - mu) * trained.detach())
    assert all(torch.equal(a, b) for a, b in zip(buffers, objective.target.buffers(), strict=True))
    assert int(objective.target.projection_head[1].num_batches_tracked) == 2
    assert objective.kept() == {"target": objective.target}


def test_a_target_with_a_gradient_or_in_eval_mode_is_refused() -> None:
    objective = _objective()
    for target in (objective.network, following_copy(objective.network).eval()):
        with pytest.raises(ValueError, match="make it by following_copy"):
            replace(objective, target=target)


@pytest.mark.parametrize("temperature", [0.0, float("nan")])
def test_an_impossible_temperature_is_refused(temperature: float) -> None:
    with pytest.raises(ValueError, match="temperature must be finite and > 0"):
        replace(_objective(), temperature=temperature)
