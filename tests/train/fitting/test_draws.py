"""A step's random numbers belong to its samples."""

import torch

from purecert.train.fitting.draws import Draws, step_seed


def test_two_processes_draw_the_rows_of_one() -> None:
    whole = Draws(7, 6)
    parts = [Draws(7, 6, slice(0, 3)), Draws(7, 6, slice(3, 6))]
    weights = torch.tensor([1.0, 0.0, 3.0])
    for ask in ("normal", "uniform"):
        assert torch.equal(getattr(whole, ask)(2, 2), torch.cat([getattr(part, ask)(2, 2) for part in parts]))
    assert torch.equal(whole.integer(1000, 2), torch.cat([part.integer(1000, 2) for part in parts]))
    drawn = whole.category(weights)
    assert torch.equal(drawn, torch.cat([part.category(weights) for part in parts]))
    assert 1 not in drawn
    shared = [[draws.shared_integer(1000) for _ in range(3)] for draws in (whole, *parts)]
    assert shared[0] == shared[1] == shared[2]
    assert len(set(shared[0])) == 3


def test_categories_follow_their_weights() -> None:
    share = (Draws(0, 40_000).category(torch.tensor([1.0, 3.0])) == 1).float().mean()
    assert abs(float(share) - 0.75) < 5 * (0.75 * 0.25 / 40_000) ** 0.5


def test_no_two_steps_of_a_stage_begin_alike_as_pytorch_sees_seeds() -> None:
    seeds = [step_seed(3, "purifier", step) for step in range(100_000)]
    assert len({seed % 2**32 for seed in seeds}) == len(seeds)
    assert seeds[0] != step_seed(3, "classifier", 0) != step_seed(4, "classifier", 0)


def test_integers_are_below_their_bound_and_all_as_likely() -> None:
    drawn = Draws(0, 30_000).integer(3)
    assert (drawn.bincount() - 10_000).abs().max() < 5 * (30_000 * 2 / 9) ** 0.5
    draws = Draws(0, 1)
    assert {draws.shared_integer(3) for _ in range(50)} == {0, 1, 2}
