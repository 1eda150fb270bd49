"""Each draw is classified once, in a row of its own, and each label is counted once."""

import inspect
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from purecert.engine.backends.base import Segment
from purecert.engine.backends.packing import Piece, add_votes, packed_batches, static_batches
from purecert.engine.errors import BackendError

_segments = st.lists(
    st.tuples(st.integers(0, 15), st.integers(0, 1), st.integers(0, 2**32 - 200) | st.just(0), st.integers(0, 50)),
    max_size=5,
)
_batch = st.integers(1, 40)
Batches = Callable[[Sequence[Segment], int], Iterator[list[Piece]]]
_PLACEMENTS = pytest.mark.parametrize("batches", [packed_batches, static_batches])


def _draws(pieces: list[Piece]) -> Iterator[tuple[int, int, int, int, int]]:
    """Yield segment, slot, phase, draw and row of each row of a batch."""
    for piece in pieces:
        for offset in range(piece.count):
            yield piece.segment, piece.slot, piece.phase, piece.first + offset, piece.row + offset


@_PLACEMENTS
@settings(deadline=None, max_examples=60)
@given(raw=_segments, batch=_batch)
@example(raw=[(0, 0, 0, 64), (0, 1, 64, 64)], batch=64)
@example(raw=[(0, 0, 63, 2)], batch=64)
def test_each_draw_is_in_one_batch_once_and_in_order(
    batches: Batches,
    raw: list[tuple[int, int, int, int]],
    batch: int,
) -> None:
    segments = [Segment(*values) for values in raw]
    found = [draw[:4] for pieces in batches(segments, batch) for draw in _draws(pieces)]
    expected = [
        (position, segment.slot, segment.phase, segment.first + offset)
        for position, segment in enumerate(segments)
        for offset in range(segment.count)
    ]
    assert found == expected


@_PLACEMENTS
@settings(deadline=None, max_examples=60)
@given(raw=_segments, batch=_batch)
def test_no_batch_is_empty_or_too_long_and_no_row_is_used_twice(
    batches: Batches,
    raw: list[tuple[int, int, int, int]],
    batch: int,
) -> None:
    for pieces in batches([Segment(*values) for values in raw], batch):
        rows = [row for *_, row in _draws(pieces)]
        assert rows
        assert all(piece.count > 0 for piece in pieces)
        assert 0 <= rows[0] <= rows[-1] < batch
        assert all(later == row + 1 for row, later in pairwise(rows))  # the noise is written in one stretch


@settings(deadline=None, max_examples=60)
@given(raw=_segments, batch=_batch)
def test_packed_batches_are_full_but_for_the_last(raw: list[tuple[int, int, int, int]], batch: int) -> None:
    segments = [Segment(*values) for values in raw]
    sizes = [sum(piece.count for piece in pieces) for pieces in packed_batches(segments, batch)]
    full, rest = divmod(sum(segment.count for segment in segments), batch)
    assert sizes == [batch] * full + [rest] * (rest > 0)
    assert all(pieces[0].row == 0 for pieces in packed_batches(segments, batch))


@settings(deadline=None, max_examples=60)
@given(raw=_segments, batch=_batch)
def test_a_static_draw_has_its_row_whatever_it_is_asked_with(raw: list[tuple[int, int, int, int]], batch: int) -> None:
    for pieces in static_batches([Segment(*values) for values in raw], batch):
        assert all(row == draw % batch for _, _, _, draw, row in _draws(pieces))


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 500), st.lists(st.integers(1, 60), min_size=1, max_size=5), _batch)
def test_however_static_draws_are_cut_into_requests_each_keeps_its_row(
    first: int, counts: list[int], batch: int
) -> None:
    def rows(segments: list[Segment]) -> list[tuple[int, int]]:
        return [(draw, row) for pieces in static_batches(segments, batch) for *_, draw, row in _draws(pieces)]

    starts = [first + sum(counts[:i]) for i in range(len(counts))]
    parts = [Segment(0, 1, start, count) for start, count in zip(starts, counts, strict=True)]
    whole = [Segment(0, 1, first, sum(counts))]
    assert rows(parts) == rows(whole)
    assert len(list(static_batches(parts, batch))) == len(list(static_batches(whole, batch)))


@_PLACEMENTS
@settings(deadline=None, max_examples=60)
@given(raw=_segments, batch=_batch, classes=st.integers(1, 12), seed=st.integers(0, 2**32))
def test_votes_are_those_of_a_slow_count(
    batches: Batches,
    raw: list[tuple[int, int, int, int]],
    batch: int,
    classes: int,
    seed: int,
) -> None:
    generator = np.random.default_rng(seed)
    segments = [Segment(*values) for values in raw]
    counts = np.zeros((len(segments), classes + 1), np.int64)
    expected = [[0] * (classes + 1) for _ in segments]
    for pieces in batches(segments, batch):
        # Rows that nobody asked for hold labels too, and those must not count.
        labels = generator.integers(-1, classes, batch, dtype=np.int32)
        add_votes(counts, pieces, labels)
        for segment, _, _, _, row in _draws(pieces):
            expected[segment][int(labels[row]) if labels[row] >= 0 else classes] += 1
    assert counts.tolist() == expected
    assert counts.sum(axis=1).tolist() == [segment.count for segment in segments]


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


def test_a_bad_label_in_a_row_that_nobody_asked_for_does_not_matter() -> None:
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
