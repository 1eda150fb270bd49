"""CERTIFY and PREDICT against the published algorithm, step by step."""

import numpy as np
import pytest
from scipy import stats

from purecert.engine.errors import InputError
from purecert.engine.procedures.certify import certify
from purecert.engine.procedures.choosing import check_rule
from purecert.engine.procedures.drawing import Draw, Procedure
from purecert.engine.procedures.outcomes import Abstention, Certificate, Outcome, Prediction
from purecert.engine.procedures.predict import predict
from purecert.engine.procedures.spec import SmoothingSpec
from purecert.engine.statistics.bounds import clopper_pearson_lower

_SPEC = SmoothingSpec(mode="certify", sigma=0.5, n_select=100, n_estimate=1000, alpha=1e-3)


def _finish(procedure: Procedure, *answers: list[int]) -> tuple[list[Draw], Outcome]:
    """Drive ``procedure`` with ``answers`` and return what it asked for and what it concluded."""
    asked = [next(procedure)]
    for answer in answers[:-1]:
        asked.append(procedure.send(np.array(answer)))
    with pytest.raises(StopIteration) as end:
        procedure.send(np.array(answers[-1]))
    return asked, end.value.value


def test_certify_asks_for_selection_and_then_for_fresh_draws_of_another_phase() -> None:
    asked, _ = _finish(certify(_SPEC, 0.0), [90, 10, 0], [950, 50, 0])
    assert asked == [Draw(phase=0, count=100), Draw(phase=1, count=1000)]


def test_certificate_is_cohens() -> None:
    _, outcome = _finish(certify(_SPEC, 0.0), [90, 10, 0], [950, 50, 0])
    assert isinstance(outcome, Certificate)
    exact = stats.beta.ppf(1e-3, 950, 51)
    assert outcome.predicted == 0
    assert outcome.p_lower == pytest.approx(exact, rel=1e-11)
    assert outcome.radius == pytest.approx(0.5 * stats.norm.ppf(exact), rel=1e-10)


def test_the_class_of_the_selection_is_certified_even_if_another_leads_later() -> None:
    _, outcome = _finish(certify(_SPEC, 0.0), [90, 10, 0], [100, 900, 0])
    assert outcome == Abstention()


def test_invalid_rows_stay_in_n_and_never_win() -> None:
    _, outcome = _finish(certify(_SPEC, 0.0), [40, 0, 60], [950, 0, 50])
    assert isinstance(outcome, Certificate)
    assert outcome.p_lower == pytest.approx(float(clopper_pearson_lower(950, 1000, 1e-3)), rel=1e-15)
    assert _finish(certify(_SPEC, 0.0), [0, 0, 100], [0, 0, 1000])[1] == Abstention()


def test_the_noise_budget_lowers_the_bound() -> None:
    _, ideal = _finish(certify(_SPEC, 0.0), [90, 10, 0], [950, 50, 0])
    _, budgeted = _finish(certify(_SPEC, 1e-6), [90, 10, 0], [950, 50, 0])
    assert isinstance(ideal, Certificate)
    assert isinstance(budgeted, Certificate)
    assert budgeted.p_lower == pytest.approx(ideal.p_lower - 1e-6, abs=1e-15)
    assert budgeted.radius < ideal.radius


@pytest.mark.parametrize("counts", [[60, 40, 0], [620, 380, 0], [501, 499, 0], [1000, 0, 0], [400, 300, 300]])
def test_prediction_commits_exactly_where_the_two_sided_binomial_test_does(counts: list[int]) -> None:
    spec = SmoothingSpec(mode="predict", sigma=0.5, n_estimate=sum(counts), alpha=1e-3)
    asked, outcome = _finish(predict(spec, 0.0), counts)
    first, second = sorted(counts, reverse=True)[:2]
    p_value = stats.binomtest(first, first + second, 0.5).pvalue
    assert asked == [Draw(phase=0, count=sum(counts))]
    if p_value <= 1e-3:
        assert isinstance(outcome, Prediction)
        assert outcome.p_value == pytest.approx(p_value, rel=1e-9)
    else:
        assert outcome == Abstention()


def test_invalid_rows_are_a_rival_in_a_prediction() -> None:
    spec = SmoothingSpec(mode="predict", sigma=0.5, n_estimate=1000, alpha=1e-3)
    assert _finish(predict(spec, 0.0), [500, 0, 500])[1] == Abstention()
    assert _finish(predict(spec, 0.0), [300, 0, 700])[1] == Abstention()


@pytest.mark.slow
def test_selection_and_estimation_counts_are_binomial_and_the_failure_rate_is_below_alpha() -> None:
    """A class of probability exactly 1/2 must be certified in at most alpha of the runs (plus 4 deviations)."""
    spec = SmoothingSpec(mode="certify", sigma=1.0, n_select=100, n_estimate=1000, alpha=0.05)
    generator = np.random.default_rng(5)
    runs, failures = 4000, 0
    for _ in range(runs):
        answers = [[int(k), n - int(k), 0] for n, k in ((n, generator.binomial(n, 0.5)) for n in (100, 1000))]
        failures += isinstance(_finish(certify(spec, 0.0), *answers)[1], Certificate)
    assert failures <= runs * 0.05 + 4 * np.sqrt(runs * 0.05 * 0.95)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"sigma": 0.0}, "sigma > 0"),
        ({"sigma": float("nan")}, "sigma > 0"),
        ({"alpha": 1.0}, "alpha in"),
        ({"n_estimate": 0}, "n in"),
        ({"n_select": 0}, "n0 in"),
        ({"n_estimate": 2**40}, "n in"),
    ],
)
def test_a_sampling_plan_that_proves_nothing_is_refused(changes: dict[str, float], words: str) -> None:
    values = {"mode": "certify", "sigma": 0.5, "n_select": 100, "n_estimate": 1000, "alpha": 1e-3}
    with pytest.raises(InputError, match=words):
        SmoothingSpec(**(values | changes))


def test_too_few_draws_to_certify_anything_are_refused() -> None:
    with pytest.raises(InputError, match=r"n > log2\(1 / alpha\) = 10.0 to certify anything, got 9"):
        check_rule(SmoothingSpec(mode="certify", sigma=0.5, n_estimate=9, alpha=1e-3), 0.0)


def test_the_least_n_that_can_certify_does() -> None:
    spec = SmoothingSpec(mode="certify", sigma=0.5, n_select=1, n_estimate=10, alpha=1e-3)
    _, outcome = _finish(certify(spec, 0.0), [1, 0, 0], [10, 0, 0])
    assert isinstance(outcome, Certificate)
