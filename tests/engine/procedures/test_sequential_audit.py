"""How often certificates and predictions that stop early err, looked at after every draw, and that faults are seen.

The quick part; `benchmarks/audit_procedures.py` is the full one.
"""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from scipy import special

from purecert.engine.procedures.certify import certify
from purecert.engine.procedures.outcomes import Certificate
from purecert.engine.procedures.spec import SmoothingSpec, StopSpec
from support.procedure_audit.every_draw import (
    answers_to_a_tie,
    ends,
    false_claims,
    tally_early_every_draw,
    tally_every_draw,
)
from support.procedure_audit.sequential import (
    answering_cells,
    certifying_spec,
    draws_of,
    look_at_an_exact_bound,
    reuse_selection,
    sequential_cells,
    skip_the_threshold,
    tie_looks_to_batches,
)
from support.procedure_audit.simulation import Steps, run_in_step, together

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("rule", ["radii", "tolerance"])
def test_false_certificates_with_a_look_after_every_draw_are_within_alpha_and_as_exact_sums_say(rule: str) -> None:
    spec = certifying_spec(rule, 0.01, 60)
    found, generator = ends(spec), np.random.default_rng(12)
    tallies = [tally_every_draw(cell, found, 20_000, generator) for cell in sequential_cells(spec)]
    assert all(tally.is_within_chance and tally.matches_expectation for tally in [*tallies, together("all", tallies)])


def test_wrong_early_predictions_with_a_look_after_every_draw_are_within_alpha() -> None:
    generator = np.random.default_rng(13)
    tallies = [tally_early_every_draw(cell, 10_000, generator) for cell in answering_cells(0.01, 100)]
    assert all(tally.is_within_chance for tally in tallies)
    assert tallies[0].false_claims > 20  # so that the images test something


@pytest.mark.parametrize("steps", [reuse_selection, look_at_an_exact_bound])
def test_a_fault_makes_more_false_certificates_than_alpha_allows(steps: Steps) -> None:
    spec = certifying_spec("radii", 0.05, 100)
    assert spec.stop is not None
    # Nearly all of alpha at the last look, so that twice of it is seen.
    spec = replace(spec, stop=replace(spec.stop, alpha_final=0.049))
    cell = next(cell for cell in sequential_cells(spec) if cell.name == "one half")
    generator = np.random.default_rng(14)
    for each, runs, is_faulty in ((steps, 3_000, True), (certify, 300, False)):
        outcomes, _ = run_in_step(cell, runs, generator, each)
        false = sum(isinstance(outcome, Certificate) for outcome in outcomes)
        assert (false > runs * 0.05 + 4 * np.sqrt(runs * 0.05 * 0.95)) == is_faulty


@pytest.mark.parametrize("chance", [None, 1e-3])
def test_a_prediction_that_counts_its_selection_again_errs_more_often_than_alpha_allows(chance: float | None) -> None:
    """By exact sums over two classes: 5 draws pick the candidate, and must not speak for it as well."""
    stop = StopSpec(rule="answer", least_chance=chance)
    spec = SmoothingSpec(mode="predict", sigma=0.5, n_estimate=100, alpha=0.05, stop=stop)
    reused = {(5, 0): 2 / 32, (4, 1): 10 / 32, (3, 2): 20 / 32}
    assert 0.5 * spec.alpha < answers_to_a_tie(spec, {(0, 0): 1.0}) <= spec.alpha
    assert answers_to_a_tie(spec, reused) > 1.1 * spec.alpha


def test_a_rule_that_a_batch_can_jump_over_is_seen_by_the_draws_that_it_wastes() -> None:
    spec = certifying_spec("radii", 1e-3, 1_000)
    paths = np.random.default_rng(15).random((30, 1_000)) < 0.995
    skipping = skip_the_threshold(float(special.ndtr(1.5)), 5e-4, 64)
    right, faulty = (np.mean([draws_of(each(spec, 0.0), path)[0] for path in paths]) for each in (certify, skipping))
    assert faulty > 1.5 * right


def test_looks_at_the_ends_of_batches_are_seen_as_certificates_that_differ_between_batch_sizes() -> None:
    spec = certifying_spec("radii", 1e-3, 1_000)
    path = np.random.default_rng(16).random(1_000) < 0.995
    faulty = {draws_of(tie_looks_to_batches(batch)(spec, 0.0), path) for batch in (64, 256)}
    right = {draws_of(certify(spec, 0.0), path) for _ in (64, 256)}
    assert len(faulty) == 2
    assert len(right) == 1


@pytest.mark.parametrize("rule", ["radii", "tolerance"])
def test_exact_chance_of_a_false_claim_is_at_most_alpha_for_any_class(rule: str) -> None:
    spec = certifying_spec(rule, 0.01, 60)
    chance = partial(false_claims, ends(spec))
    for p in np.linspace(0.5, 0.99, 50):
        assert chance(float(p), spec.sigma * float(special.ndtri(p)) * (1 + 1e-12)) <= 0.01
