"""benchmarks/early_stopping_rules.py: a rule as a table is the rule, and no table draws less than where p is known."""

from pathlib import Path

import numpy as np
import pytest

from purecert.engine.statistics.table_errors import expected
from purecert.engine.statistics.table_making import make_table
from support.procedure_audit.crossing import published_rule, walk

_BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(autouse=True)
def _beside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(_BENCHMARKS))


def test_the_published_rule_as_a_table_draws_and_certifies_what_a_walk_over_all_paths_says() -> None:
    from early_stopping_rules import _as_table

    threshold, looks, p = 0.6, np.arange(1, 301), np.array([0.5, 0.6, 0.75, 0.9])
    above, below = published_rule(threshold, 1e-3, looks)
    certified, draws = expected(_as_table(threshold, looks, above, below), p)
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


def test_at_or_below_the_threshold_nothing_need_be_drawn() -> None:
    from early_stopping_rules import least_draws

    assert least_draws(np.array([0.5, 0.6]), 0.6, np.array([0.0, 1e-3])).tolist() == [0, 0]
