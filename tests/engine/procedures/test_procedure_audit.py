"""How often CERTIFY and PREDICT err where the truth is known, and that faults of theirs would be seen.

The quick part; `benchmarks/audit_procedures.py` is the full one.
"""

from pathlib import Path

import numpy as np
import pytest
from scipy import special

from support.procedure_audit.cells import TRIALS, certify_cells, predict_cells
from support.procedure_audit.coverage import ALPHAS, clopper_pearson_coverage, exact_coverage
from support.procedure_audit.mutants import Mutant, mutants
from support.procedure_audit.prediction import audit_p_values, worst_wrong_answer
from support.procedure_audit.simulation import tally_certificates, tally_predictions, together
from support.procedure_audit.truth import binomial_tail, false_claim_probability, probability_below, true_radius
from support.procedure_audit.whole_path import PixelCell, pixel_cells, tally_pixel


@pytest.mark.slow
def test_false_certificates_are_at_most_as_frequent_as_alpha_and_as_frequent_as_exact_sums_say() -> None:
    generator = np.random.default_rng(1)
    tallies = [tally_certificates(cell, 1_000, generator) for cell in certify_cells(1e-3)]
    total = together("all", tallies)
    assert total.runs == 40_000
    assert total.false_claims <= total.allowed
    assert all(tally.is_within_chance and tally.matches_expectation for tally in [*tallies, total])


@pytest.mark.parametrize("trials", TRIALS)
def test_the_images_under_a_claim_are_those_where_the_procedure_may_err_most(trials: int) -> None:
    for cell in certify_cells(1e-3, (trials,)):
        chance = false_claim_probability(cell.probabilities[0], trials, 1e-3)
        assert chance <= 1e-3
        assert chance > 0.999999e-3 or "under" not in cell.name


@pytest.mark.slow
def test_wrong_predictions_are_at_most_as_frequent_as_alpha() -> None:
    generator = np.random.default_rng(2)
    tallies = [tally_predictions(cell, 1_000, generator) for cell in predict_cells(1e-3)]
    total = together("all", tallies)
    assert total.false_claims <= total.allowed
    assert all(tally.is_within_chance for tally in tallies)


@pytest.mark.slow
@pytest.mark.parametrize("mutant", mutants(0.05), ids=lambda mutant: mutant.fault)
def test_a_faulty_procedure_is_caught_and_the_right_one_is_not(mutant: Mutant) -> None:
    generator = np.random.default_rng(3)
    faulty = mutant.tally(mutant.cell, 2_500, generator, mutant.steps)
    right = mutant.tally(mutant.cell, 2_500, generator, mutant.control)
    assert right.false_claims <= right.allowed
    assert faulty.deviations > 7  # where four are allowed


@pytest.mark.slow
@pytest.mark.parametrize("alpha", ALPHAS)
@pytest.mark.parametrize("trials", TRIALS)
def test_no_probability_is_missed_more_often_than_alpha(trials: int, alpha: float) -> None:
    coverage = clopper_pearson_coverage(trials, alpha, sample=20)
    assert coverage.probabilities >= 2_000
    assert coverage.worst_miss <= 1
    assert 0 < coverage.sum_error < coverage.least_reserve


@pytest.mark.slow
@pytest.mark.parametrize("alpha", ALPHAS)
def test_a_bound_that_is_too_high_by_a_billionth_is_seen(alpha: float) -> None:
    successes = np.arange(1, 1001)
    exact = special.betaincinv(successes, 1001 - successes, alpha)
    assert not exact_coverage(np.append(0, exact * (1 + 1e-9)), alpha, sample=20).holds


@pytest.mark.slow
@pytest.mark.parametrize("trials", TRIALS)
def test_p_values_of_predictions_are_never_below_the_exact_ones(trials: int) -> None:
    audited = audit_p_values(trials, ALPHAS)
    assert audited.too_small == 0
    assert max(audited.worst_error.values()) <= 1


@pytest.mark.slow
@pytest.mark.parametrize("alpha", ALPHAS)
@pytest.mark.parametrize("invalid", [False, True])
def test_no_image_is_answered_wrongly_more_often_than_alpha(alpha: float, invalid: bool) -> None:
    assert worst_wrong_answer(60, alpha, invalid=invalid).worst <= 1


@pytest.mark.slow
@pytest.mark.parametrize(
    "cell",
    [
        pytest.param(cell, marks=[pytest.mark.nightly] if number else [])
        for number, cell in enumerate(pixel_cells(0.05))
    ],
    ids=lambda cell: f"{cell.successes} of {cell.n}",
)
def test_false_certificates_of_the_whole_engine_are_as_frequent_as_alpha(tmp_path: Path, cell: PixelCell) -> None:
    tally = tally_pixel(tmp_path / "plan", cell, 1_000, seed=cell.successes)
    assert tally.is_within_chance
    assert tally.matches_expectation


def test_the_truth_is_known_in_closed_form() -> None:
    assert true_radius(0.5, 1.0) == 0
    assert true_radius(special.ndtr(2.0), 0.25) == pytest.approx(0.5, rel=1e-14)
    assert true_radius(probability_below(0.75, 0.5), 0.5) <= 0.75
    assert float(binomial_tail(10, 10, 0.5)) == 0.5**10
    assert float(binomial_tail(1, 10, 0.5)) == 1 - 0.5**10
    # Ten draws of ten are needed to certify anything at alpha = .001.
    assert false_claim_probability(0.5, 10, 1e-3) == pytest.approx(0.5**10, rel=1e-14)
