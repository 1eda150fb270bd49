"""Certificates at a shared alpha: against closed forms and the definition of the bound that holds at every look."""

from pathlib import Path

import mpmath
import pytest

from purecert.engine.procedures.outcomes import Abstention, Certificate, Prediction, stops_of
from purecert.engine.procedures.spec import StopSpec
from purecert.engine.records.lines import Line
from purecert.engine.records.run import Run, read_run
from purecert.engine.reports.bonferroni import at_shared_alpha, claims_of
from purecert.engine.statistics.anytime import anytime_lower
from support.records import with_spec
from support.simulated_runs import write_simulated_run
from support.written_runs import outcome_row, written_record, written_run

_STOP = StopSpec(rule="radii", radii=(0.0, 0.25), alpha_final=5e-4)


@pytest.mark.parametrize("images", [1, 2, 500])
def test_unanimous_draws_have_a_closed_form(images: int) -> None:
    runs = at_shared_alpha([_run(images, 1000, 1000)])
    assert runs[0].record.spec.alpha == pytest.approx(1e-3 / images)
    outcome = runs[0].lines[0].outcome
    assert isinstance(outcome, Certificate)
    # Clopper and Pearson: alpha^(1/n) where every draw agrees; the noise's own deviation is far below the tolerance.
    assert outcome.p_lower == pytest.approx((1e-3 / images) ** (1 / 1000), rel=1e-9)
    assert outcome.radius == pytest.approx(_radius(outcome.p_lower), rel=1e-9)


def test_alpha_is_shared_by_all_runs() -> None:
    shared = at_shared_alpha([_run(3, 1000, 1000), _run(5, 990, 1000)])
    assert [run.record.spec.alpha for run in shared] == [1e-3 / 8] * 2


def test_a_run_that_was_interrupted_shares_alpha_among_the_images_it_set_out_for() -> None:
    cut = _run(2, 1000, 1000, written_record(500, n=1000))
    assert claims_of([cut, _run(3, 1000, 1000)]) == 503
    assert at_shared_alpha([cut])[0].record.spec.alpha == 1e-3 / 500


def test_stopped_certificate_gets_the_bound_that_holds_at_every_look() -> None:
    images, k, n = 20, 95, 100
    run = _run(images, k, n, with_spec(written_record(images, n=10_000), stop=_STOP))
    outcome = at_shared_alpha([run])[0].lines[0].outcome
    assert isinstance(outcome, Certificate)
    # At the bound E is 1 / alpha, of which half is for stopping.
    assert _e_value(k, n, outcome.p_lower) == pytest.approx(images / 5e-4, rel=1e-6)


def test_bound_after_the_last_draw_shares_its_part_too() -> None:
    images, n = 20, 1000
    run = _run(images, n, n, with_spec(written_record(images, n=n), stop=_STOP))
    outcome = at_shared_alpha([run])[0].lines[0].outcome
    assert isinstance(outcome, Certificate)
    assert outcome.p_lower == pytest.approx((5e-4 / images) ** (1 / n), rel=1e-9)


def test_certificate_that_only_the_larger_alpha_gave_is_withdrawn() -> None:
    # 550 of 1000: more than one half at alpha 1e-3 (z = 3.2), not at 1e-6.
    assert isinstance(at_shared_alpha([_run(1, 550, 1000)])[0].lines[0].outcome, Certificate)
    assert isinstance(at_shared_alpha([_run(1000, 550, 1000)])[0].lines[0].outcome, Abstention)


def test_too_few_draws_for_the_shared_alpha_certify_nothing() -> None:
    # 2^-12 is below 1e-3, not below 1e-6.
    run = _run(1000, 12, 12, written_record(1000, n=12))
    assert {type(row.outcome) for row in at_shared_alpha([run])[0].lines} == {Abstention}


def test_prediction_needs_a_p_value_below_the_shared_alpha() -> None:
    rows = [
        outcome_row(0, Prediction(predicted=0, p_value=4e-4)),
        outcome_row(1, Prediction(predicted=0, p_value=6e-4)),
    ]
    shared = at_shared_alpha([written_run(Path("run"), rows, written_record(2, mode="predict"))])[0]
    assert shared.lines[0] == rows[0]
    assert isinstance(shared.lines[1].outcome, Abstention)


def _run(images: int, k: int, n: int, record: object = None) -> Run:
    """Return a run whose images all have ``k`` of ``n`` draws of class 0; the certificates in it are not looked at."""
    counts = {"0": k, "1": n - k} if k < n else {"0": n}
    outcome = Certificate(predicted=0, p_lower=0.9, radius=1.0)
    rows = [Line(index=i, label=0, outcome=outcome, counts=({"0": 100}, counts)) for i in range(images)]
    chosen = record or written_record(images, n=n)
    return written_run(Path("run"), rows, chosen)  # type: ignore[arg-type]


def _radius(p: float) -> float:
    with mpmath.workdps(30):
        return float(mpmath.sqrt(2) * mpmath.erfinv(2 * mpmath.mpf(p) - 1) / 2)


def _e_value(k: int, n: int, p: float) -> float:
    """Return the mean likelihood ratio over the arcsine law on (p, 1), integrated."""
    with mpmath.workdps(30):
        bound = mpmath.mpf(p)

        def prior(q: mpmath.mpf) -> mpmath.mpf:
            return 1 / mpmath.sqrt(q * (1 - q))

        cuts = [bound, mpmath.mpf(k) / n, 1]
        top = mpmath.quad(lambda q: prior(q) * (q / bound) ** k * ((1 - q) / (1 - bound)) ** (n - k), cuts)
        return float(top / mpmath.quad(prior, [bound, 1]))


def test_a_run_with_tables_gets_the_bound_that_holds_at_every_n(tmp_path: Path) -> None:
    """What tables certified is of their own alpha; the draws ended for a reason that the bound does not mind."""
    run = read_run(write_simulated_run(tmp_path / "tables", "tables"))
    shared = at_shared_alpha([run])[0]
    kept = 0
    for line, before in zip(shared.lines, run.lines, strict=True):
        assert stops_of(line.outcome) == stops_of(before.outcome)
        if isinstance(line.outcome, Certificate):
            assert isinstance(before.outcome, Certificate)
            k, n = line.counts[-1][str(line.outcome.predicted)], sum(line.counts[-1].values())
            assert line.outcome.p_lower <= float(anytime_lower(k, n, 1e-3 / 6))
            assert line.outcome.radius <= before.outcome.radius or line.outcome.radius < 0.6
            kept += 1
    assert 0 < kept <= sum(isinstance(line.outcome, Certificate) for line in run.lines)
