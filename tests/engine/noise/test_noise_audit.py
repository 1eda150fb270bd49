"""Drawn values follow their law to the last threshold and are independent: the quick part of benchmarks/audit_noise.py.

Seeds are fixed, so that nothing fails by chance: a sound source passes each test in all but two seeds of a million.
"""

from fractions import Fraction

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import special

from purecert.engine.noise.table import NoiseTable, extra_noise, smoothing_noise
from support.noise_audit.finding import Finding, binomial, chi_square, largest, most_and_least, normal
from support.noise_audit.law import clipped_law, unclipped_law
from support.noise_audit.normal_bounds import audit_thresholds, phi_bounds
from support.noise_audit.shim import Shim
from support.noise_audit.source import Kernel
from support.noise_audit.suite import QUICK, SIGMAS, noise_tests
from support.noise_audit.words import word_findings

_TESTS = noise_tests(QUICK, seed=20_260_101)
_NIGHTLY = dict.fromkeys(("correlations, lags", "counts, wide table"), pytest.mark.nightly)  # the dearest


@pytest.mark.slow
@pytest.mark.parametrize("name", [pytest.param(name, marks=_NIGHTLY.get(name, ())) for name in _TESTS])
def test_noise_follows_its_law_and_is_independent(name: str) -> None:
    findings = _TESTS[name](Kernel())
    assert findings
    assert [finding for finding in findings if not finding.passed] == []


@pytest.mark.slow
def test_words_of_both_halves_are_uniform_and_independent(shim: Shim) -> None:
    assert [finding for finding in word_findings(shim, QUICK.word_chunks, seed=1) if not finding.passed] == []


@pytest.mark.slow
@pytest.mark.parametrize(
    "table",
    [*map(smoothing_noise, SIGMAS), extra_noise(), NoiseTable(scale=Fraction(1, 3))],
    ids=lambda table: f"scale {float(table.scale):g}",
)
def test_every_threshold_lies_between_bounds_proved_in_integers(table: NoiseTable) -> None:
    audit = audit_thresholds(table)
    assert (audit.entries, audit.wrong, audit.undecided) == (2 * table.reach, 0, 0)


@pytest.mark.parametrize("index", [0, 1, 1157, 2315])
def test_the_audit_of_thresholds_sees_one_that_is_off_by_one(index: int, monkeypatch: pytest.MonkeyPatch) -> None:
    thresholds = smoothing_noise(0.5).thresholds.copy()
    thresholds[index] += np.uint64(1)
    monkeypatch.setattr("purecert.engine.noise.table._thresholds", lambda scale: thresholds)
    assert audit_thresholds(smoothing_noise(0.5)).wrong == 1


@pytest.mark.parametrize("x", [0.01, 0.5, 1.0, 3.0, 9.25])
def test_the_integer_bounds_hold_the_normal_distribution_between_them(x: float) -> None:
    low, high = phi_bounds(Fraction(x))
    assert 0 < high - low < 2**20  # of 2^192
    assert low / 2**192 == pytest.approx(special.ndtr(x), rel=1e-15)
    assert 1 - Fraction(high, 2**192) == pytest.approx(special.ndtr(-x), rel=1e-13)


def test_a_law_has_mass_one_and_its_clip_gathers_what_lies_beyond() -> None:
    table = smoothing_noise(2.0)
    free, clipped = unclipped_law(table), clipped_law(table)
    assert free.masses.sum() == pytest.approx(1, abs=1e-12)
    assert clipped.masses[-1] == pytest.approx(free.masses[free.values >= 2047].sum(), rel=1e-12)
    assert clipped.moment(2) < free.moment(2) == pytest.approx(510**2 + 1 / 12, rel=1e-9)  # Sheppard's correction


def _chances(seed: int) -> list[Finding]:
    """Return each kind of finding, of data that NumPy drew from the law that is tested."""
    random = np.random.default_rng(seed)
    cells = np.full(20, 1 / 20)
    counts = random.binomial(1000, 0.002, 500)
    return [
        chi_square("chi-square", random.multinomial(10_000, cells), 10_000 * cells),
        binomial("count", int(random.binomial(10_000, 0.001)), 10_000, 0.001),
        normal("mean", float(random.normal()), 1),
        largest("largest", random.normal(size=500), 1),
        most_and_least("extremes", counts, 1000, 0.002, counts.size),
    ]


def test_the_chances_that_findings_state_are_those_of_data_from_the_law() -> None:
    stated: NDArray[np.float64] = np.array([[found.p for found in _chances(seed)] for seed in range(4000)])
    # p is the smaller of two tails, so below x in 2 x of the cases; of the last kind one tail; less often of counts.
    tails = np.array([2, 2, 2, 2, 1])
    for limit in (0.25, 0.05, 0.005):
        often = (stated < limit).mean(axis=0)
        spread = 5 * (tails * limit / len(stated)) ** 0.5
        assert (often < tails * limit + spread).all()
        assert (often > tails * limit - spread)[[0, 2, 3]].all()
