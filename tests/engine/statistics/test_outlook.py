"""When the rest of the draws is unlikely to show one class ahead of another."""

import numpy as np
import pytest
from scipy import special, stats

from purecert.engine.statistics.anytime import anytime_lower
from purecert.engine.statistics.outlook import Outlook


@pytest.mark.parametrize("least_chance", [1e-3, 0.05, 0.3])
def test_no_draws_whatever_they_show_are_in_vain_before_as_many_as_it_says(least_chance: float) -> None:
    """Against every way in which draws can go on, of the class, its rival and others: the least is the fewest."""
    n, far = 60, 10**6
    own, rival, drawn = np.meshgrid(*(np.arange(n + 1),) * 3, indexing="ij")
    found = Outlook(n, 0.01, least_chance).least_draws(own, rival, np.maximum(drawn, np.minimum(own + rival, n)))
    fewest = np.where(found == 0, 0, far)
    for at in range(n - 1, -1, -1):
        after = np.pad(fewest[:, :, at + 1], ((0, 1), (0, 1)), constant_values=far)
        least = np.minimum(np.minimum(after[1:, :-1], after[:-1, 1:]), after[:-1, :-1])
        fewest[:, :, at] = np.where(fewest[:, :, at] == 0, 0, least + 1)
    may_end = (own + rival <= drawn) & (drawn + fewest < n)  # at n draws end anyway
    assert may_end.sum() > 5_000
    assert (found[may_end] == fewest[may_end]).all()
    assert ((drawn + found)[(own + rival <= drawn) & (drawn < n) & ~may_end] >= n).all()


@pytest.mark.parametrize("n", [1_000, 20_000])
@pytest.mark.parametrize("other", [0.0, 0.3])
def test_it_is_in_vain_where_the_rest_would_show_the_class_ahead_with_about_the_least_chance(
    n: int, other: float
) -> None:
    """Against the beta-binomial law of the rest after counts of flat odds, without a normal limit."""
    outlook, least_chance = Outlook(n, 1e-3, 1e-3), 1e-3
    for drawn in (n // 20, n // 5, n // 2, 4 * n // 5):
        pair = round(drawn * (1 - other))
        own = np.arange(pair + 1)
        first = int(np.flatnonzero(outlook.least_draws(own, pair - own, drawn) > 0)[0])  # there is enough chance
        together = n - drawn + pair
        k = np.arange(together // 2, together + 1)
        needed = int(k[anytime_lower(k, together, 1e-3) > 0.5][0])
        chance = stats.betabinom.sf(needed - first - 1, n - drawn, first + 1, pair - first + 1)
        # C sqrt(M) leaves out a logarithm, so with draws of other classes the chance is a little larger.
        assert 0.5 * least_chance < chance < (4 if other else 2) * least_chance


def test_before_a_draw_and_without_a_valid_one_nothing_is_in_vain() -> None:
    outlook = Outlook(1_000, 1e-3, 1e-3)
    z = float(special.ndtri(1e-3))
    assert 1 <= outlook.least_draws(0, 0, 0) <= z**2 + 1
    assert (outlook.least_draws(0, 0, np.arange(1_001)) > 0).all()
    assert (outlook.least_draws(1_000, 0, 1_000), outlook.least_draws(900, 0, 900)) == (2**31 - 1, 2**31 - 1)
