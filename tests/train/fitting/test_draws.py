import torch

from purecert.train.fitting.draws import Draws


def test_two_processes_draw_the_rows_of_one() -> None:
    whole = Draws(7, 6)
    parts = [Draws(7, 6, slice(0, 3)), Draws(7, 6, slice(3, 6))]
    weights = torch.tensor([1.0, 0.0, 3.0])
    for ask in ("normal", "uniform"):
        assert torch.equal(getattr(whole, ask)(2, 2), torch.cat([getattr(part, ask)(2, 2) for part in parts]))
    drawn = whole.category(weights)
    assert torch.equal(drawn, torch.cat([part.category(weights) for part in parts]))
    assert 1 not in drawn


def test_categories_follow_their_weights() -> None:
    share = (Draws(0, 40_000).category(torch.tensor([1.0, 3.0])) == 1).float().mean()
    assert abs(float(share) - 0.75) < 5 * (0.75 * 0.25 / 40_000) ** 0.5
