"""Stopping tables: how often they err, by programs that share no code with them; what they draw; what is no table."""

import itertools
import math
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from scipy import special, stats

from purecert.engine.errors import InputError
from purecert.engine.statistics.stopping_tables import StoppingTable
from purecert.engine.statistics.table_errors import expected, false_claims_at_most
from purecert.engine.statistics.table_making import make_table, schedule
from purecert.engine.statistics.table_regret import chances_given_up, total_of

_HALF, _FAR = 0.5 + 1e-9, float(special.ndtr(1.0))


@cache
def _table(threshold: float = _FAR, n: int = 300, alpha: float = 0.01, price: float = 1e6) -> StoppingTable:
    return make_table(threshold, n, alpha, price)


def _error_between(table: StoppingTable, bits: int = 200) -> tuple[float, float]:
    """Return bounds of the chance to certify at the threshold: draw by draw, in integers rounded down and up."""
    p, scale = round(table.threshold * 2**53), 2**bits  # a double of [1/2, 1) is an integer of so many
    assert p == table.threshold * 2**53
    looks = dict(zip(table.looks, zip(table.low, table.high, strict=True), strict=True))
    least, most, certified = {0: scale}, {0: scale}, [0, 0]
    for draw in range(1, table.n + 1):
        least, most = _one_draw(least, p, 0), _one_draw(most, p, 2**53 - 1)
        low, high = looks.get(draw, (-1, draw + 1))
        for place, law in enumerate((least, most)):
            certified[place] += sum(mass for k, mass in law.items() if k >= high)
            for k in [k for k in law if k >= high or k <= low]:
                del law[k]
    return certified[0] / scale, certified[1] / scale


def _one_draw(law: dict[int, int], p: int, round_up: int) -> dict[int, int]:
    new: dict[int, int] = {}
    for k, mass in law.items():
        new[k] = new.get(k, 0) + (mass * (2**53 - p) + round_up >> 53)
        new[k + 1] = new.get(k + 1, 0) + (mass * p + round_up >> 53)
    return new


@pytest.mark.parametrize(
    ("threshold", "n", "alpha"),
    [
        (_HALF, 300, 1e-3),
        (_FAR, 300, 0.01),
        (0.977, 400, 0.4),
        pytest.param(_HALF, 2000, 1e-3, marks=pytest.mark.slow),
        pytest.param(_FAR, 2000, 1e-3, marks=pytest.mark.slow),
        pytest.param(0.97, 1500, 1e-9, marks=pytest.mark.slow),
    ],
)
def test_the_error_is_bounded_and_close_to_alpha(threshold: float, n: int, alpha: float) -> None:
    table = _table(threshold, n, alpha)
    least, most = _error_between(table)
    assert least <= false_claims_at_most(table) <= most * (1 + 1e-6)
    assert most <= alpha
    assert most >= 0.5 * alpha  # it is not sound by never certifying


def test_a_small_table_by_all_its_paths() -> None:
    looks, high, low = (3, 5, 7, 12), (4, 5, 7, 9), (0, 2, 4, 8)
    table = replace(_table(), threshold=0.625, n=12, alpha=0.4, looks=looks, high=high, low=low)
    certified, draws = 0.0, 0.0
    for path in itertools.product((0, 1), repeat=12):
        probability = math.prod(0.625 if draw else 0.375 for draw in path)
        for n, least, most in zip(looks, high, low, strict=True):
            k = sum(path[:n])
            if k >= least or k <= most:
                break
        certified, draws = certified + probability * (k >= least), draws + probability * n
    assert false_claims_at_most(table) == pytest.approx(certified, rel=1e-9)
    assert [float(each[0]) for each in expected(table, np.array([0.625]))] == pytest.approx([certified, draws])


@pytest.mark.parametrize("p", [0.6, 0.8, 0.9, 0.99])
def test_expected_draws_and_certificates_are_those_of_simulated_draws(p: float) -> None:
    table, runs = _table(), 20_000
    ends, draws = _simulated(table, p, runs, seed=5)
    certified, mean = (float(each[0]) for each in expected(table, np.array([p])))
    assert abs(ends.mean() - certified) < 4 * math.sqrt(certified * (1 - certified) / runs) + 1e-3
    assert abs(draws.mean() - mean) < 4 * draws.std() / math.sqrt(runs)


@pytest.mark.slow
@pytest.mark.nightly
def test_a_million_simulated_certificates_err_as_often_as_alpha() -> None:
    table = _table(_FAR, 2000, 1e-3)
    ends, _ = _simulated(table, table.threshold, 1_000_000, seed=6)
    assert abs(int(ends.sum()) - 1e6 * false_claims_at_most(table)) < 4 * math.sqrt(1000)


def _simulated(table: StoppingTable, p: float, runs: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return of each run whether it certifies, and its draws."""
    rng = np.random.default_rng(seed)
    k, n, before = np.zeros(runs, np.int64), np.zeros(runs, np.int64), 0
    certified, is_open = np.zeros(runs, bool), np.ones(runs, bool)
    for draws, high, low in zip(table.looks, table.high, table.low, strict=True):
        k[is_open] += rng.binomial(draws - before, p, int(is_open.sum()))
        n[is_open], before = draws, draws
        certified |= is_open & (k >= high)
        is_open &= (k < high) & (k > low)
    assert not is_open.any()
    return certified, n


def test_giving_up_binds_and_the_last_look_decides() -> None:
    """Each of these tables errs more than alpha: who checks the sum refuses them."""
    table = _table(_FAR, 300, 0.01, price=1e3)  # so cheap a certificate is given up often
    never_gives_up = replace(table, low=(*(-1 for _ in table.low[:-1]), table.low[-1]))
    asks_less = replace(table, high=(*table.high[:-1], table.high[-1] - 1), low=(*table.low[:-1], table.low[-1] - 1))
    larger = replace(_table(_FAR, 300, 0.02, price=1e3), alpha=0.01)
    for wrong in (never_gives_up, asks_less, larger):
        assert false_claims_at_most(wrong) > 0.01 >= false_claims_at_most(table)


@pytest.mark.parametrize(
    "changes",
    [
        {"looks": (1, 1)},
        {"looks": (2, 1)},
        {"low": (1, 0)},
        {"high": (3, 2)},
        {"low": (-2, 1)},
        {"high": (1, 3)},
        {"n": 3},
        {"threshold": 0.4},
        {"threshold": 1.0},
        {"alpha": 0.5},
        {"form": 0},
        {"high": (1,)},
    ],
)
def test_what_is_no_table_is_refused(changes: dict[str, object]) -> None:
    whole = {"looks": (1, 2), "high": (2, 2), "low": (-1, 1), "n": 2, "threshold": 0.5, "alpha": 0.3, "form": 1}
    law = {"price": 1.0, "law_mean": 1.0, "law_std": 3.0}
    StoppingTable(**whole | law)  # type: ignore[arg-type]  # each of its own type
    with pytest.raises(InputError, match="expected"):
        StoppingTable(**whole | law | changes)  # type: ignore[arg-type]  # each of its own type


def test_a_threshold_out_of_reach_has_no_table() -> None:
    with pytest.raises(InputError, match="expected a threshold that 20 draws can exceed"):
        make_table(0.9, 20, 1e-3, 1e6)


def test_looks_come_after_each_draw_and_then_ever_more_apart() -> None:
    looks = schedule(1000)
    assert looks[:60] == list(range(1, 61))
    assert looks[-1] == 1000
    assert all(1 <= later - look <= max(1, 0.02 * look) for look, later in itertools.pairwise(looks))


def test_a_higher_price_draws_more_and_loses_less() -> None:
    p = np.array([0.87, 0.9])
    cheap, dear = (expected(_table(price=price), p) for price in (1e4, 1e6))
    assert np.all(cheap[0] < dear[0])
    assert np.all(cheap[1] < dear[1])


@pytest.mark.parametrize(("draws", "successes"), [(100, 85), (150, 127), (250, 220), (299, 265), (60, 30)])
def test_what_the_rest_would_certify_is_its_mean_over_the_law(draws: int, successes: int) -> None:
    table = _table(_FAR, 300, 0.01)
    certifies = next(k for k in range(301) if stats.binom.sf(k - 1, 300, _FAR) <= 0.01)
    z = np.linspace(-9, 9, 20_001)
    weight = stats.norm.pdf(z, table.law_mean, table.law_std)
    weight *= stats.binom.pmf(successes, draws, stats.norm.cdf(z))
    later = stats.binom.sf(certifies - successes - 1, 300 - draws, stats.norm.cdf(z))
    (chance,) = chances_given_up(table, [draws], [successes])
    assert chance == pytest.approx(float((weight * later).sum() / weight.sum()), rel=1e-3, abs=1e-9)


def test_the_range_of_a_sum_of_chances_is_that_of_its_law() -> None:
    mean, least, most = total_of(np.full(200, 0.03), 0.95)
    law = stats.binom(200, 0.03)
    assert (mean, least, most) == (pytest.approx(6.0), law.ppf(0.025), law.ppf(0.975))
    assert total_of(np.zeros(0), 0.95) == (0.0, 0, 0)
