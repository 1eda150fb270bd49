"""Faults planted into the kernels' own arithmetic are seen by the statistical tests alone, without any vector."""

from collections.abc import Mapping, Sequence

import numpy as np
import pytest

from purecert.engine.noise.table import extra_noise, smoothing_noise
from support.noise_audit.shim import Fault, Shim
from support.noise_audit.source import Kernel, Segments
from support.noise_audit.suite import QUICK, noise_tests
from support.noise_vectors import published_rows

pytestmark = pytest.mark.slow

_TESTS = noise_tests(QUICK, seed=20_260_101)
_CAUGHT = 1e-9  # a thousand times less likely than what the audit calls a failure
_CAUGHT_BY: Mapping[Fault, Sequence[str]] = {
    # A chi-square of a thousand cells needs ten times the draws that sixteen cells need.
    Fault.TIED_BITS: ["counts, sigma 0.25"],
    Fault.SIGMA_OFF: ["counts, sigma 0.12", "counts, sigma 1"],
    Fault.REPEATED_BLOCK: ["correlations, elements"],
    Fault.STUCK_COUNTER: ["correlations, draws", "pairs"],
    Fault.ONE_STREAM_FOR_TWO_PHASES: ["correlations, phases and purposes", "pairs"],
    # Both need a table so wide that single draws fall between neighbouring thresholds of 32 or 24 bits.
    Fault.SWAPPED_TIES: ["counts, wide table"],
    Fault.UNIFORMS_OF_24_BITS: ["counts, wide table"],
    Fault.TAIL_CUT: ["counts, sigma 0.25"],
}


@pytest.mark.parametrize("fault", _CAUGHT_BY, ids=lambda fault: fault.name)
def test_a_planted_fault_is_caught(fault: Fault, shim: Shim) -> None:
    for name in _CAUGHT_BY[fault]:
        rarest = min(_TESTS[name](Shim(shim.library, fault)), key=lambda finding: finding.p)
        assert not rarest.passed
        assert rarest.p < _CAUGHT


def test_every_fault_but_the_invisible_one_is_planted() -> None:
    assert {*_CAUGHT_BY} == {*Fault} - {Fault.NONE, Fault.SWAPPED_HALVES}


@pytest.mark.parametrize("table", [smoothing_noise(0.25), smoothing_noise(14.0), extra_noise()])
def test_without_a_fault_the_shim_is_the_kernel(shim: Shim, table: object) -> None:
    segments: Segments = [(0, 0, 0, 65), (2**32 - 1, 1, 2**32 - 3, 3), (7, 1, 62, 4)]
    where = {"segments": segments, "elements": 4093, "seed": 2**63 + 5, "purpose": 3}
    np.testing.assert_array_equal(shim.rows(table, **where), Kernel().rows(table, **where))


def test_without_a_fault_long_rows_of_the_widest_table_are_the_kernels(shim: Shim) -> None:
    address = {"seed": 9, "image": 3, "phase": 1, "draw": 63}
    count = 1 << 20  # some twenty draws are decided by the low word
    np.testing.assert_array_equal(shim.row(14.0, count, **address), Kernel().row(14.0, count, **address))


def test_without_a_fault_the_words_are_those_under_the_noise(shim: Shim) -> None:
    """The wide table is searched with u = 2^32 high + low, as the contract says."""
    table = smoothing_noise(14.0)
    segments: Segments = [(4, 1, 11, 3)]
    high, low = (shim.words(segments, 100_000, seed=2**40 + 1, half=half).astype(np.uint64) for half in (0, 1))
    q = np.searchsorted(table.thresholds, (high << np.uint64(32)) | low, side="right") - table.reach
    expected = [Kernel().row(14.0, 100_000, seed=2**40 + 1, image=4, phase=1, draw=draw) for draw in (11, 12, 13)]
    np.testing.assert_array_equal(q, expected)


@pytest.mark.parametrize("name", ["counts, sigma 0.25", "correlations, phases and purposes", "pairs"])
def test_halves_swapped_everywhere_are_another_draw_of_the_same_law(shim: Shim, name: str) -> None:
    """Both words of u are uniform and independent, so (low, high) has the law of (high, low).

    No test of values can see such a swap, nor does it make a certificate wrong. It breaks the contract, and the
    published vectors are there for that.
    """
    swapped = Shim(shim.library, Fault.SWAPPED_HALVES)
    assert all(finding.passed for finding in _TESTS[name](swapped))
    row = next(published_rows())
    address = {"seed": row.seed, "image": row.image, "phase": row.phase, "draw": row.draw}
    for source, equal in ((shim, True), (swapped, False)):
        q = source.row(row.sigma, row.elements, **address)
        assert ({element: int(q[element]) for element in row.values} == row.values) is equal
