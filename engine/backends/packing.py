"""Labels of a batch's rows into counts per segment."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from purecert.engine.backends.base import Placement, Segment
from purecert.engine.errors import BackendError


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

    Pieces share a batch only where one begins at the row behind the other's last: as neighbouring draws do.
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


def add_votes(counts: NDArray[np.int64], pieces: Sequence[Piece], labels: NDArray[np.int32]) -> None:
    """Add the labels of ``pieces`` to ``counts`` [segments, classes + 1]; label -1 goes to the last column.

    Raises:
        BackendError: A label is neither -1 nor a class, or there is not one integer a row.
    """
    classes = counts.shape[1] - 1
    for piece in pieces:
        found = labels[piece.row : piece.row + piece.count]
        # A graph is free to return another shape than it should; votes must not vanish in a slice that is too short.
        if found.shape != (piece.count,) or found.dtype.kind != "i":
            raise BackendError(
                f"expected an integer label for each row, got {found.dtype} {list(labels.shape)}; export the plan again"
            )
        if found.min() < -1 or found.max() >= classes:
            raise BackendError(
                f"expected labels in [-1, {classes - 1}], got {found.min()} to {found.max()}; export the plan again"
            )
        votes = np.bincount(found.astype(np.int64) % (classes + 1), minlength=classes + 1)  # -1 becomes the last
        counts[piece.segment] += votes
