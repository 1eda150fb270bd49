"""The rows of a submission laid out in batches."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from purecert.engine.backends.base import Placement, Segment


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a segment that lies in one batch: its draws and its rows."""

    segment: int  # position in the submission
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


def batches_of(segments: Sequence[Segment], batch: int, placement: Placement) -> int:
    """Return how many batches hold the rows of one submission."""
    if placement == "row_invariant":
        return -(-sum(segment.count for segment in segments) // batch)
    return sum(1 for _ in static_batches(segments, batch))
