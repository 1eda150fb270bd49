"""Counts in the ledger's form and as an array are the same counts."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from purecert.engine.errors import InputError
from purecert.engine.records.lines import dense_counts, sparse_counts

_counts = st.lists(st.integers(0, 2**32 - 1) | st.just(0), min_size=3, max_size=12)


@settings(deadline=None)
@given(_counts)
def test_counts_survive_both_ways(counts: list[int]) -> None:
    dense = np.array(counts, np.int64)
    sparse = sparse_counts(dense)
    again = dense_counts(sparse, len(counts) - 1)
    assert again.dtype == np.int64
    assert again.tolist() == counts
    assert sparse_counts(again) == sparse


@settings(deadline=None)
@given(_counts)
def test_the_ledgers_form_names_classes_and_leaves_zeros_out(counts: list[int]) -> None:
    names = [*(str(label) for label in range(len(counts) - 1)), "invalid"]
    expected = {name: count for name, count in zip(names, counts, strict=True) if count}
    sparse = sparse_counts(np.array(counts, np.int64))
    assert sparse == expected
    assert all(type(count) is int for count in sparse.values())  # JSON takes no NumPy integer


def test_nothing_counted_is_an_empty_object() -> None:
    assert sparse_counts(np.zeros(4, np.int64)) == {}
    assert dense_counts({}, 3).tolist() == [0, 0, 0, 0]


_BAD_KEYS = ["3", "-1", "03", "00", "+1", " 1", "1 ", "1.0", "1e0", "1_0", "\uff11", "\u00b2", "", "None"]
_BAD_KEYS += ["Invalid", "invalid "]


@pytest.mark.parametrize("key", _BAD_KEYS)
def test_a_key_that_is_no_class_is_refused_and_named(key: str) -> None:
    with pytest.raises(InputError, match=r"of classes below 3 or 'invalid', found ") as refusal:
        dense_counts({"0": 1, key: 5}, 3)
    assert repr(key) in str(refusal.value)


@pytest.mark.parametrize("count", [0, -1, -(2**63), 2**32, 2**63, 10**30])
def test_a_number_of_draws_that_no_run_can_hold_is_refused(count: int) -> None:
    """Also where a second count would bring the sum back to what the run asked for."""
    for key in ("0", "invalid"):
        with pytest.raises(InputError, match=r"expected counts in \[1, 4294967295\]"):
            dense_counts({key: count, "1": 1000 - count}, 3)
