"""Each draw is classified once, in a row of its own, and each label is counted once."""

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from purecert.engine.backends.base import Segment
from purecert.engine.backends.host import add_votes
from purecert.engine.backends.packing import Piece, packed_batches, static_batches

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
        # Rows of padding hold labels too, and those must not count.
        labels = generator.integers(-1, classes, batch, dtype=np.int32)
        add_votes(counts, pieces, labels)
        for segment, _, _, _, row in _draws(pieces):
            expected[segment][int(labels[row]) if labels[row] >= 0 else classes] += 1
    assert counts.tolist() == expected
    assert counts.sum(axis=1).tolist() == [segment.count for segment in segments]
