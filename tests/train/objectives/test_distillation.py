"""Distillation follows its equation; neither teacher nor target gets a gradient; the target follows."""

from collections.abc import Callable

import pytest
import torch

from purecert.train.distances.pixels import Distance, Huber, l1, l2
from purecert.train.fitting.draws import Draws
from purecert.train.objectives.distillation import DistillationObjective
from purecert.train.purifiers.karras import KarrasConfig
from purecert.train.schedules.noise_levels import NoiseRange
from support import written_out as ref

_CONFIG = KarrasConfig(sigma_data=0.6, levels=NoiseRange(t_max=5.0))


def _objective(distance: Distance = l2, decay: float = 0.9) -> DistillationObjective:
    student = ref.TinyNetwork(0)
    target, teacher = (ref.TinyNetwork(seed).eval().requires_grad_(False) for seed in (1, 2))
    return DistillationObjective(
        network=student, target=target, teacher=teacher, config=_CONFIG, distance=distance, points=6, decay=decay
    )


def _ends_of_a_step(objective: DistillationObjective, x: ref.Pixels, high: float, low: float) -> list[ref.Pixels]:
    student, target, teacher = objective.network, objective.target, objective.teacher
    assert isinstance(student, ref.TinyNetwork)
    assert isinstance(target, ref.TinyNetwork)
    assert isinstance(teacher, ref.TinyNetwork)
    first = _slope(teacher, x, high)
    second = _slope(teacher, ref.plus(x, low - high, first), low)
    moved = ref.plus(ref.plus(x, (low - high) / 2, first), (low - high) / 2, second)
    return [ref.denoised(student, x, high, 0.6, 0.002), ref.denoised(target, moved, low, 0.6, 0.002)]


def _slope(teacher: ref.TinyNetwork, x: ref.Pixels, t: float) -> ref.Pixels:
    clean = ref.denoised(teacher, x, t, 0.6, 0.0)
    return [[(a - b) / t for a, b in zip(p, q, strict=True)] for p, q in zip(x, clean, strict=True)]


@pytest.mark.parametrize(
    ("distance", "written"), [(l2, ref.mean_square), (l1, ref.mean_absolute), (Huber(), ref.hypotenuse)]
)
def test_the_distillation_loss_is_its_equation(
    distance: Distance, written: Callable[[ref.Pixels, ref.Pixels], float]
) -> None:
    objective, batch = _objective(distance), ref.batch_of(rows=4, seed=2)
    loss = objective(batch)
    draws = Draws(2, 4)
    intervals, noise = draws.category(torch.ones(5)), draws.normal(2, 2, 2)
    grid = [(0.002 ** (1 / 7) + i / 5 * (5 ** (1 / 7) - 0.002 ** (1 / 7))) ** 7 for i in range(6)]
    total = 0.0
    for row in range(4):
        low, high = grid[int(intervals[row])], grid[int(intervals[row]) + 1]
        noisy = ref.plus(ref.pixels_of(batch.images[row]), high, ref.pixels_of(noise[row]))
        total += written(*_ends_of_a_step(objective, noisy, high, low)) / 4
    assert loss.item() == pytest.approx(total, rel=1e-6)


def test_the_gradient_stops_at_teacher_and_target() -> None:
    objective = _objective()
    objective(ref.batch_of(seed=1)).backward()
    assert ref.reached(objective.network)
    assert ref.untouched(objective.teacher, objective.target)


def test_teacher_and_target_must_be_frozen() -> None:
    free, frozen = ref.TinyNetwork(), ref.TinyNetwork().eval().requires_grad_(False)
    for target, teacher, words in ((free, frozen, "the target must be"), (frozen, free, "the teacher must be")):
        with pytest.raises(ValueError, match=words):
            DistillationObjective(network=free, target=target, teacher=teacher, config=_CONFIG, distance=l2)


def test_the_target_follows_the_student_by_its_decay_and_is_kept() -> None:
    objective = _objective(decay=0.9)
    before = [p.detach().clone() for p in objective.target.parameters()]
    objective.after_step(0)
    for old, new, student in zip(before, objective.target.parameters(), objective.network.parameters(), strict=True):
        torch.testing.assert_close(new.detach(), 0.9 * old + 0.1 * student.detach())
    assert objective.kept() == {"target": objective.target}


@pytest.mark.parametrize(("points", "decay"), [(1, 0.9), (6, 1.0), (6, -0.1)])
def test_a_grid_without_steps_and_a_target_that_never_moves_are_refused(points: int, decay: float) -> None:
    net = ref.TinyNetwork()
    with pytest.raises(ValueError, match="points >= 2"):
        DistillationObjective(
            network=net, target=net, teacher=net, config=_CONFIG, distance=l2, points=points, decay=decay
        )
