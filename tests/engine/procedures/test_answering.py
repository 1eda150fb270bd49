"""Predictions that stop when a class leads every other."""

import numpy as np
import pytest

from purecert.engine.procedures.answering import AnswerRule
from purecert.engine.procedures.outcomes import Abstention
from purecert.engine.procedures.predict import early_prediction
from purecert.engine.procedures.spec import SmoothingSpec, StopSpec
from purecert.engine.statistics.anytime import anytime_lower, log_e

_SPEC = SmoothingSpec(mode="predict", sigma=0.5, n_estimate=1_000, alpha=1e-3, stop=StopSpec(rule="answer"))


def test_stops_when_every_rival_is_behind_or_one_is_ahead() -> None:
    rule, generator = AnswerRule(_SPEC, 0.0, 0), np.random.default_rng(10)
    outcomes = set()
    for total in (30, 100, 400):
        for shares in generator.dirichlet([2, 1, 1, 0.5], 60):
            counts = generator.multinomial(total, shares)
            own, rivals = int(counts[0]), counts[1:-1]
            pairs = np.maximum(own + rivals, 1)
            ahead = bool(np.all(anytime_lower(np.minimum(own, pairs), pairs, 1e-3) > 0.5))
            behind = bool(np.any(anytime_lower(np.minimum(rivals, pairs), pairs, 1e-3) > 0.5))
            assert (rule.remaining(counts) == 0) == (ahead or behind)
            assert (rule.p_value(counts) <= 1e-3) == ahead
            outcomes.add((ahead, behind))
    assert outcomes == {(False, False), (True, False), (False, True)}


def test_p_value_is_that_of_the_closest_rival() -> None:
    counts = np.array([70, 10, 30, 0])
    expected = float(np.exp(-log_e(70, 100, 0.5)))
    assert AnswerRule(_SPEC, 0.0, 0).p_value(counts) == pytest.approx(expected, rel=1e-9)
    assert AnswerRule(_SPEC, 1e-9, 0).p_value(counts) == pytest.approx(expected + 1e-6, rel=1e-9)


def test_invalid_draws_neither_win_nor_rival() -> None:
    rule = AnswerRule(_SPEC, 0.0, 0)
    assert rule.p_value(np.array([40, 5, 0])) == rule.p_value(np.array([40, 5, 900]))
    assert early_prediction(_SPEC, 0.0, None, np.array([0, 0, 100])) == Abstention()
