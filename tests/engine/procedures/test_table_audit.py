"""How often mode radii by stopping tables errs where the truth is known, and that faults would be seen.

The quick part; `benchmarks/audit_procedures.py` is the full one.
"""

from dataclasses import replace

import numpy as np
import pytest

from purecert.engine.procedures.certify import certify
from purecert.engine.procedures.drawing import Procedure
from purecert.engine.procedures.spec import SmoothingSpec
from support.procedure_audit.simulation import tally_certificates, together
from support.procedure_audit.table_looks import chances_by_tables, false_claim_by_tables, table_cells, table_spec

_SPEC = table_spec(0.01, 100)


def test_exact_chance_of_a_false_claim_of_several_radii_is_at_most_alpha_for_any_class() -> None:
    for p in np.linspace(0.4, 0.99, 10):
        assert false_claim_by_tables(_SPEC, float(p)) <= 0.01
        assert sum(chances_by_tables(_SPEC, float(p))) == pytest.approx(1)
    for cell in table_cells(_SPEC)[:5]:  # where it is closest to alpha
        assert 0.009 < false_claim_by_tables(_SPEC, cell.probabilities[0]) <= 0.01


def test_a_table_that_certifies_with_one_success_less_at_the_end_is_seen() -> None:
    assert _SPEC.stop is not None
    *others, last = _SPEC.tables
    lax = replace(last, high=(*last.high[:-1], last.high[-1] - 1), low=(*last.low[:-1], last.low[-1] - 1))
    spec = replace(_SPEC, stop=replace(_SPEC.stop, tables=(*others, lax)))
    assert false_claim_by_tables(spec, table_cells(_SPEC)[2].probabilities[0]) > 0.01


@pytest.mark.slow
def test_false_certificates_by_tables_are_within_alpha_and_as_exact_sums_say() -> None:
    generator = np.random.default_rng(17)
    cells = table_cells(_SPEC)
    tallies = [tally_certificates(cell, 2_000, generator, chance=false_claim_by_tables) for cell in cells]
    assert all(tally.is_within_chance and tally.matches_expectation for tally in [*tallies, together("all", tallies)])


def _lax(spec: SmoothingSpec, tv: float) -> Procedure:
    return certify(table_spec(2 * spec.alpha, spec.n_estimate), tv)


@pytest.mark.slow
def test_tables_made_for_twice_the_alpha_make_more_false_certificates_than_it_allows() -> None:
    spec = table_spec(0.05, 100)
    cell = next(cell for cell in table_cells(spec) if cell.name == "one half")
    generator = np.random.default_rng(18)
    right, faulty = (tally_certificates(cell, 2_000, generator, steps) for steps in (certify, _lax))
    assert right.false_claims <= right.allowed
    assert faulty.deviations > 7  # where four are allowed
