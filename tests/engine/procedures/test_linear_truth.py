"""The engine against a classifier whose exact certified radius is known."""

from pathlib import Path

import pytest
from scipy import stats

from support.linear_truth import certify_linear


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, *(pytest.param(seed, marks=pytest.mark.nightly) for seed in (2, 3))])
def test_certified_radius_of_a_linear_classifier_stays_below_its_distance(tmp_path: Path, seed: int) -> None:
    cases, alpha = 300, 1e-3
    result = certify_linear(tmp_path / "plan", cases=cases, seed=seed, n=100_000, batch=20_000, threads=1)
    # More false certificates than this come by chance once in a million runs.
    assert result.exceeding <= stats.binom.isf(1e-6, cases, alpha)
    assert result.median_ratio >= 0.97
