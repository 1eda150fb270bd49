"""Predictions that stop when a class leads every other."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from purecert.engine.errors import InputError
from purecert.engine.procedures.answering import AnswerRule
from purecert.engine.procedures.outcomes import Abstention, Prediction
from purecert.engine.procedures.predict import early_prediction, predict_early
from purecert.engine.procedures.spec import SmoothingSpec, StopSpec
from purecert.engine.statistics.anytime import anytime_lower, log_e
from support.procedure_audit.driven import Paths, paths_of, remembered

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
    assert _SPEC.stop is not None
    likely = AnswerRule(replace(_SPEC, stop=replace(_SPEC.stop, least_chance=1e-3)), 0.0, 0)
    assert (likely.remaining(np.array([55, 45, 0])) > 0, likely.remaining(np.array([55, 45, 850]))) == (True, 0)
    assert early_prediction(_SPEC, 0.0, None, np.array([0, 0, 100])) == Abstention()


# Ties of the likeliest two classes, by the number of classes; the last entry is of invalid rows.
_TIES = {2: [(0.5, 0.5, 0.0), (0.35, 0.35, 0.3)], 3: [(0.5, 0.5, 0.0, 0.0), (0.4, 0.4, 0.2, 0.0), (0.3, 0.3, 0.3, 0.1)]}


@pytest.mark.parametrize(("classes", "n", "alpha"), [(2, 13, 0.1), (3, 8, 0.25)])
def test_where_draws_may_be_given_up_an_answer_takes_the_same_evidence(classes: int, n: int, alpha: float) -> None:
    """Every path of the procedure itself: no answer is short of evidence, and ties are answered within alpha."""
    usual = SmoothingSpec(
        mode="predict",
        sigma=0.5,
        n_select=3,
        n_estimate=n,
        alpha=alpha,
        stop=StopSpec(rule="answer", alpha_refute=alpha),
    )
    assert usual.stop is not None
    likely = replace(usual, stop=replace(usual.stop, least_chance=0.05))
    with remembered():
        paths, before = (paths_of(partial(predict_early, spec, 0.0), classes, invalid=True) for spec in (likely, usual))
    for (_, counts), outcome in paths.ended.items():
        if isinstance(outcome, Prediction):
            own, rivals = counts[outcome.predicted], [*counts[: outcome.predicted], *counts[outcome.predicted + 1 : -1]]
            assert all(log_e(own, own + rival, 0.5) >= -np.log(alpha) for rival in rivals)
    for law in _TIES[classes]:
        answers, draws = _answers(paths, law)
        assert 0 < answers <= alpha
        assert draws < 0.95 * _answers(before, law)[1]


def _answers(paths: Paths, law: tuple[float, ...]) -> tuple[float, float]:
    """Return how likely an answer is, which is always false here, and the mean draws of the second phase."""
    ends = list(zip(paths.probabilities((law,)), paths.ended, strict=True))
    answers = sum(likely for (likely, outcome), _ in ends if isinstance(outcome, Prediction))
    return answers, sum(likely * sum(counts) for (likely, _), (_, counts) in ends)


@pytest.mark.parametrize("chance", [0.0, -1e-3, 0.5, float("nan")])
def test_a_chance_that_is_none_is_refused(chance: float) -> None:
    with pytest.raises(InputError, match=r"expected a least chance in \(0, 0.5\), of the rule answer alone, got"):
        StopSpec(rule="answer", least_chance=chance)
    with pytest.raises(InputError, match="of the rule answer alone"):
        StopSpec(rule="radii", radii=(0.5,), least_chance=1e-3)
