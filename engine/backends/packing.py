"""The rows of a submission laid out in batches."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from purecert.engine.backends.base import MAX_SEGMENTS, Placement, Segment

PADDING = MAX_SEGMENTS  # where a segment's position stands: rows whose votes are dropped
_DRAWS = 2**32  # a draw is a word of the noise's address


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a segment that lies in one batch: its draws and its rows."""

    segment: int  # position in the submission, or PADDING
    slot: int
    phase: int
    first: int  # number of the first draw
    count: int
    row: int  # of the first draw, in the batch


def packed_batches(segments: Sequence[Segment], batch: int) -> Iterator[list[Piece]]:
    """Yield the pieces of each batch with rows laid end to end; only the last batch can have rows to spare."""
    pieces: list[Piece] = []
    row = 0
    for position, segment in enumerate(segments):
        done = 0
        while done < segment.count:
            count = min(segment.count - done, batch - row)
            pieces.append(Piece(position, segment.slot, segment.phase, segment.first + done, count, row))
            done, row = done + count, row + count
            if row == batch:
                yield pieces
                pieces, row = [], 0
    if pieces:
        yield pieces


def static_batches(segments: Sequence[Segment], batch: int) -> Iterator[list[Piece]]:
    """Yield the pieces of each batch with each draw at row ``draw % batch``, so that a draw never changes its place.

    Pieces share a batch only where one begins at the row after the other's last, as neighbouring draws do.
    """
    pieces: list[Piece] = []
    for position, segment in enumerate(segments):
        first, end = segment.first, segment.first + segment.count
        while first < end:
            row = first % batch
            count = min(end - first, batch - row)
            if pieces and row != pieces[-1].row + pieces[-1].count:
                yield pieces
                pieces = []
            pieces.append(Piece(position, segment.slot, segment.phase, first, count, row))
            first += count
    if pieces:
        yield pieces


def filled(pieces: Sequence[Piece], batch: int) -> list[Piece]:
    """Return a batch's pieces with PADDING before and after them, so that every row is a real draw.

    A graph could tell rows of zeros from noisy ones, and then the rows beside them from others. The padding is the
    draws before and after: what a full batch of these images holds.
    """
    head, last = pieces[0], pieces[-1]
    end = last.row + last.count
    first = last.first + last.count
    after = Piece(PADDING, last.slot, last.phase, first if first + batch <= _DRAWS else 0, batch - end, end)
    before = Piece(PADDING, head.slot, head.phase, max(0, head.first - head.row), head.row, 0)
    return [piece for piece in (before, *pieces, after) if piece.count]


def batches_of(segments: Sequence[Segment], batch: int, placement: Placement) -> int:
    """Return how many batches hold the rows of one submission."""
    if placement == "row_invariant":
        return -(-sum(segment.count for segment in segments) // batch)
    return sum(1 for _ in static_batches(segments, batch))
