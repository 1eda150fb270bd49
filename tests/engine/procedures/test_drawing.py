"""When a sequence of draws is looked at again."""

import numpy as np
import pytest

from purecert.engine.errors import BackendError
from purecert.engine.procedures.drawing import next_draw, until_settled


@pytest.mark.parametrize("wrong", [-1, 0, 1])
def test_counts_of_other_draws_than_were_asked_for_are_refused(wrong: int) -> None:
    """A look takes as many draws to be counted as were asked for: a row too few or too many is found at the end."""
    drawing = until_settled(30, 10, lambda _, n: 30 - n)
    assert next(drawing).count == 10
    assert drawing.send(np.array([9, 1])).count == 20
    refused = pytest.raises(BackendError, match=f"the 30 draws that were asked for, got counts of {30 + wrong}")
    with refused if wrong else pytest.raises(StopIteration):
        drawing.send(np.array([19 + wrong, 1]))


def test_a_look_waits_for_what_is_needed_and_wastes_at_most_a_few_draws_or_their_share() -> None:
    for n in (0, 1, 50, 99, 5_000, 9_999):
        for least in (1, 3, 40, 700, 10**9):
            _assert_draw(n, least)


def _assert_draw(n: int, least: int) -> None:
    draw = next_draw(least, n, 10_000)
    assert 1 <= draw.count <= 10_000 - n
    assert draw.count - draw.spare == min(least, 10_000 - n)
    assert 0 <= draw.spare <= max(4, 0.04 * n)
