"""benchmarks/early_stopping_chain.py: a table's simulation agrees with its exact sum; several count as they should."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from purecert.engine.statistics.table_errors import expected, false_claims_at_most
from purecert.engine.statistics.table_making import make_table

_BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(autouse=True)
def _beside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(_BENCHMARKS))


def test_one_table_takes_and_certifies_what_its_exact_sum_says() -> None:
    from early_stopping_chain import follow

    table, p, images = make_table(0.7, 1000, 0.01, 1e4), 0.75, 20_000
    used, certified = follow([table], np.full(images, p), np.random.default_rng(0))
    shares, draws = expected(table, np.array([p]))
    assert abs(certified.mean() - shares[0]) < 4 * (shares[0] * (1 - shares[0]) / images) ** 0.5
    assert abs(used.mean() - draws[0]) < 4 * used.std() / images**0.5


def test_of_several_a_radius_counts_only_after_all_smaller_ones_and_draws_end_with_the_last() -> None:
    from early_stopping_chain import follow

    tables = [make_table(threshold, 1000, 0.01, 1e4) for threshold in (0.6, 0.7)]
    p = np.repeat([0.5, 0.65, 0.9], 2000)
    used, certified = follow(tables, p, np.random.default_rng(0))
    assert not bool((certified[:, 1] & ~certified[:, 0]).any())
    means = certified.reshape(3, 2000, 2).mean(axis=1)
    assert means[0].max() < 0.01
    assert means[1, 0] > 0.5 > 0.05 > means[1, 1]
    assert means[2].min() > 0.95
    _, draws = expected(tables[0], np.array([0.5]))  # the smaller one gives both up
    assert abs(used[:2000].mean() - draws[0]) < 4 * used[:2000].std() / 2000**0.5
    assert used[2000:4000].mean() > expected(tables[1], np.array([0.65]))[1][0] - 4 * used[2000:4000].std() / 2000**0.5


def test_the_error_of_a_table_is_the_one_that_the_engine_bounds() -> None:
    from early_stopping_errors import error_at_most

    for threshold, n in ((0.5, 300), (0.7, 1000), (0.95, 2000)):
        table = make_table(threshold, n, 0.01, 1e4)
        found = error_at_most(table)
        assert found <= 0.01
        assert found == pytest.approx(false_claims_at_most(table), rel=1e-5)
        wrong = replace(table, high=(*table.high[:-1], table.high[-1] - 1), low=(*table.low[:-1], table.low[-1] - 1))
        assert error_at_most(wrong) > found
