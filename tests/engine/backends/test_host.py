"""Labels of a batch become counts of its segments, and labels that are none are refused."""

import inspect

import numpy as np
import pytest
from numpy.typing import NDArray

from purecert.engine.backends.host import add_votes
from purecert.engine.backends.packing import Piece
from purecert.engine.errors import BackendError


def test_votes_are_added_to_what_was_counted() -> None:
    counts = np.array([[5, 0, 7]], np.int64)
    add_votes(counts, [Piece(0, 0, 0, 0, 3, 1)], np.array([0, 1, -1, 1, 0], np.int32))
    assert counts.tolist() == [[5, 2, 8]]


@pytest.mark.parametrize("label", [-2, 3, 4, 2**31 - 1, -(2**31)])
def test_a_label_that_is_no_class_is_refused_and_nothing_is_counted(label: int) -> None:
    counts = np.zeros((1, 4), np.int64)
    with pytest.raises(BackendError, match=r"expected labels in \[-1, 2\], got .*; export the plan again"):
        add_votes(counts, [Piece(0, 0, 0, 0, 3, 0)], np.array([0, label, -1], np.int32))
    assert not counts.any()


def test_a_bad_label_in_a_row_of_padding_does_not_matter() -> None:
    counts = np.zeros((1, 4), np.int64)
    add_votes(counts, [Piece(0, 0, 0, 0, 2, 1)], np.array([99, 0, 2, -99], np.int32))
    assert counts.tolist() == [[1, 0, 1, 0]]


@pytest.mark.parametrize(
    "labels",
    [
        np.zeros(3, np.int32),
        np.zeros(0, np.int32),
        np.zeros((4, 1), np.int32),
        np.zeros(4, np.float32),
        np.full(4, np.nan),
        np.zeros(4, bool),
    ],
    ids=["too few", "none", "two dimensions", "floats", "NaN", "booleans"],
)
def test_labels_that_are_not_one_integer_a_row_are_refused(labels: NDArray[np.generic]) -> None:
    """A slice that runs past the end is silently shorter: votes would vanish."""
    counts = np.zeros((1, 4), np.int64)
    with pytest.raises(BackendError, match="expected an integer label for each row, got"):
        inspect.unwrap(add_votes)(counts, [Piece(0, 0, 0, 0, 4, 0)], labels)  # as without the tests' type checks
    assert not counts.any()
