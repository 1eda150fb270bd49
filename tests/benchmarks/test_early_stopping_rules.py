"""benchmarks/early_stopping_rules.py: a rule as a table is the rule, and no table draws less than where p is known."""

from pathlib import Path

import numpy as np
import pytest

from purecert.engine.statistics.bounds import clopper_pearson_lower
from purecert.engine.statistics.table_errors import expected, false_claims_at_most
from purecert.engine.statistics.table_making import make_table
from support.procedure_audit.crossing import published_rule, walk

_BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(autouse=True)
def _beside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(_BENCHMARKS))


def test_the_published_rule_as_a_table_draws_and_certifies_what_a_walk_over_all_paths_says() -> None:
    from early_stopping_rules import _with_bounds

    threshold, looks, p = 0.6, np.arange(1, 301), np.array([0.5, 0.6, 0.75, 0.9])
    above, below = published_rule(threshold, 1e-3, looks)
    certified, draws = expected(_with_bounds(make_table(threshold, 300, 1e-3, 1e6), looks, above, below), p)
    for place, one in enumerate(p):
        law = walk(above, below, one)
        assert certified[place] == pytest.approx(law.above, rel=1e-9)
        assert draws[place] == pytest.approx(law.draws, rel=1e-9)


def test_no_table_draws_less_than_walds_bound_for_what_it_certifies_and_one_made_for_it_not_much_more() -> None:
    from early_stopping_rules import least_draws

    p = np.array([0.65, 0.7, 0.75, 0.8, 0.9])
    certified, draws = expected(make_table(0.6, 10_000, 1e-3, 1e6), p)
    floor = least_draws(p, 0.6, certified)
    assert (floor < draws).all()
    assert (draws < 1.9 * floor).all()


def test_walds_bound_is_the_number_of_successes_in_a_row_where_p_is_one() -> None:
    from early_stopping_rules import least_draws

    # No test certifies sooner: m successes in a row come with the probability threshold^m, and alpha is .001.
    assert least_draws(np.array([1.0]), 0.6, np.array([1.0]))[0] == pytest.approx(np.log(1000) / np.log(1 / 0.6))


def test_what_certifies_no_more_often_than_it_errs_need_not_be_drawn() -> None:
    from early_stopping_rules import least_draws

    p, certifies = np.array([0.5, 0.6, 0.6 + 1e-9, 0.61]), np.array([0.0, 1e-3, 1e-3, 5e-4])
    assert least_draws(p, 0.6, certifies).tolist() == [0, 0, 0, 0]


def test_each_rule_errs_at_most_with_alpha_and_the_mixture_ends_with_the_exact_bound_at_half_of_it() -> None:
    from early_stopping_rules import _tables

    tables = dict(_tables(0.6, 2000))
    assert set(tables) == {"table", "mixture", "published KT"}
    assert all(0 < false_claims_at_most(table) <= 1e-3 for table in tables.values())
    k = np.arange(2001)
    least = int(k[clopper_pearson_lower(k, 2000, 5e-4) > 0.6].min())
    assert tables["mixture"].high[-1] == least == tables["mixture"].low[-1] + 1
