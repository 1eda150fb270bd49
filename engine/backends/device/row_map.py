"""The map from each row of a submission to its draw, as a device reads it (kernels/include/purecert/row_map.h)."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import UInt32
from numpy.typing import NDArray

from purecert.engine.backends.packing import Piece

WORDS = 8  # of a piece, and of the head before the pieces


def row_map(
    batches: Sequence[Sequence[Piece]], batch: int, image_index: NDArray[np.int64]
) -> UInt32[np.ndarray, "pieces_and_head 8"]:
    """Return the map of a submission: one row for the head, one for each piece, sorted by row.

    Args:
        batches: The pieces of each batch, as ``packed_batches`` or ``static_batches`` yield them.
        batch: Rows of a batch.
        image_index: The index in the dataset of the image in each slot.
    """
    pieces = [
        (number * batch + p.row, p.count, p.slot, image_index[p.slot], p.phase, p.first, p.segment, 0)
        for number, batch_pieces in enumerate(batches)
        for p in batch_pieces
    ]
    return np.array([(len(pieces), 0, 0, 0, 0, 0, 0, 0), *pieces], np.uint32)
