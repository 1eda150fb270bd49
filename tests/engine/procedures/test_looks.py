"""When a sequence of draws is looked at again."""

from purecert.engine.procedures.looks import next_ask


def test_a_look_waits_for_what_is_needed_and_wastes_at_most_a_few_draws_or_their_share() -> None:
    for n in (0, 1, 50, 99, 5_000, 9_999):
        for least in (1, 3, 40, 700, 10**9):
            _assert_ask(n, least)


def _assert_ask(n: int, least: int) -> None:
    ask = next_ask(least, n, 10_000)
    assert 1 <= ask.count <= 10_000 - n
    assert ask.least == min(least, 10_000 - n)
    assert ask.least <= ask.count
    assert ask.count - ask.least <= max(4, 0.04 * n)
