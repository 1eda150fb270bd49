"""When a sequence of draws is looked at again."""

from purecert.engine.procedures.drawing import next_draw


def test_a_look_waits_for_what_is_needed_and_wastes_at_most_a_few_draws_or_their_share() -> None:
    for n in (0, 1, 50, 99, 5_000, 9_999):
        for least in (1, 3, 40, 700, 10**9):
            _assert_draw(n, least)


def _assert_draw(n: int, least: int) -> None:
    draw = next_draw(least, n, 10_000)
    assert 1 <= draw.count <= 10_000 - n
    assert draw.count - draw.spare == min(least, 10_000 - n)
    assert 0 <= draw.spare <= max(4, 0.04 * n)
