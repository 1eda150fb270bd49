"""The row map of a submission against the plain list of its rows."""

import numpy as np
import pytest

from purecert.engine.backends.base import MAX_SEGMENTS, Segment
from purecert.engine.backends.device.loop import BATCHES_PER_SUBMISSION, max_pieces
from purecert.engine.backends.device.row_map import WORDS, row_map
from purecert.engine.backends.packing import packed_batches, static_batches

_SEGMENTS = [Segment(2, 0, 2**32 - 9, 9), Segment(0, 1, 3, 14), Segment(1, 1, 0, 1), Segment(0, 1, 17, 2)]
_IMAGES = np.array([70, 2**32 - 1, 5])


@pytest.mark.parametrize("batches", [packed_batches, static_batches])
def test_every_draw_has_one_row(batches: type[object]) -> None:
    pieces = list(batches(_SEGMENTS, 8))  # type: ignore[call-arg, call-overload]
    head, *rows = row_map(pieces, 8, _IMAGES).tolist()
    assert head == [len(rows), *[0] * (WORDS - 1)]
    found = {
        (segment, slot, image, phase, first + number): row + number
        for row, count, slot, image, phase, first, segment, _ in rows
        for number in range(count)
    }
    wanted = [
        (position, s.slot, int(_IMAGES[s.slot]), s.phase, s.first + number)
        for position, s in enumerate(_SEGMENTS)
        for number in range(s.count)
    ]
    assert sorted(found) == sorted(wanted)
    assert len(set(found.values())) == len(wanted)
    assert [row for row, *_ in rows] == sorted(row for row, *_ in rows)
    if batches is static_batches:
        assert all(row % 8 == draw % 8 for (*_, draw), row in found.items())


def test_the_largest_submission_fits_the_device_buffer() -> None:
    """As many segments as there may be, each cut by the border of a batch wherever that is possible."""
    batch = MAX_SEGMENTS
    counts = np.full(MAX_SEGMENTS, BATCHES_PER_SUBMISSION)
    for batches in (packed_batches, static_batches):
        segments = [Segment(0, 1, batch - 1, int(count)) for count in counts]
        assert sum(len(pieces) for pieces in batches(segments, batch)) <= max_pieces()
