"""Every row of every batch that a backend runs is a real noisy row, also where no vote of it counts."""

from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from typing import final

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from purecert.engine.backends.base import MAX_SEGMENTS, Backend, BackendInfo, Placement, Segment
from purecert.engine.backends.device.loop import DeviceBackend, max_pieces
from purecert.engine.backends.device.row_map import row_map
from purecert.engine.backends.device.step import DeviceStep
from purecert.engine.backends.graph import HostGraph
from purecert.engine.backends.host import HostBackend
from purecert.engine.backends.packing import PADDING, filled, packed_batches, static_batches
from purecert.engine.backends.torch.program import CompiledProgram, TorchProgram
from purecert.engine.backends.torch.queue import HostQueue
from purecert.engine.noise.inputs import noise_of_inputs
from purecert.engine.noise.rows import draw
from purecert.engine.plans.plan import GraphInput
from support.records import BACKEND, PLAN

_SEED, _SIGMA, _BATCH, _SHAPE = 2**63 + 5, 0.5, 8, (1, 2, 2)
_IMAGES = np.random.default_rng(0).integers(0, 256, (3, *_SHAPE), dtype=np.uint8)
# A start, an end and a whole of a static batch; a batch of several images; the last draws that there are.
_SEGMENTS = [
    Segment(0, 1, 3, 2),
    Segment(1, 0, 8, 8),
    Segment(2, 1, 16, 3),
    Segment(0, 0, 21, 1),
    Segment(1, 1, 2**32 - 3, 3),
]


@settings(deadline=None, max_examples=100)
@given(
    raw=st.lists(st.tuples(st.integers(0, 2**32 - 50), st.integers(1, 49)), min_size=1, max_size=5),
    batch=st.integers(1, 40),
    placed=st.booleans(),
)
def test_a_filled_batch_has_a_draw_in_every_row_and_keeps_what_was_asked_for(
    raw: list[tuple[int, int]], batch: int, placed: bool
) -> None:
    segments = [Segment(position, 1, *values) for position, values in enumerate(raw)]
    for pieces in (static_batches if placed else packed_batches)(segments, batch):
        rows = filled(pieces, batch)
        assert [row for piece in rows for row in range(piece.row, piece.row + piece.count)] == list(range(batch))
        assert [piece for piece in rows if piece.segment != PADDING] == pieces
        assert all(0 <= piece.first <= piece.first + piece.count <= 2**32 for piece in rows)
        if placed:
            assert all(piece.row == piece.first % batch or piece.first == 0 for piece in rows)


def test_the_largest_submission_still_fits_the_device_buffer_with_its_padding() -> None:
    for batch in (8, MAX_SEGMENTS):
        segments = [Segment(0, 1, batch // 2, 1)] * MAX_SEGMENTS
        for batches in (packed_batches, static_batches):
            assert sum(len(filled(pieces, batch)) for pieces in batches(segments, batch)) <= max_pieces()


@final
class _Recording(HostGraph):
    """A graph that keeps every batch it is run on, and answers class 0 for each row."""

    digest, executed_precision, versions = "0" * 64, "fp32", {}  # type: ignore[assignment]  # of properties

    def __init__(self) -> None:
        self.seen: list[NDArray[np.generic]] = []
        self._buffer = np.zeros((_BATCH, *_SHAPE), np.float32)

    @property
    def inputs(self) -> Sequence[NDArray[np.generic]]:
        return [self._buffer]

    def labels(self) -> NDArray[np.int32]:
        self.seen.append(self._buffer.copy())
        return np.zeros(_BATCH, np.int32)

    def logits(self) -> None:
        return None

    def close(self) -> None:
        """Nothing is held."""


def _info(placement: Placement) -> BackendInfo:
    return replace(BACKEND, batch=_BATCH, placement=placement)


def _host(placement: Placement) -> tuple[Backend, list[NDArray[np.generic]]]:
    graph = _Recording()
    return HostBackend(graph, noise_of_inputs(1, _SIGMA, _SEED, 1), _info(placement), 2, 3), graph.seen


def _device(placement: Placement) -> tuple[Backend, list[NDArray[np.generic]]]:
    seen: list[NDArray[np.generic]] = []

    def call(rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        seen.append(rows.numpy().copy())
        return torch.zeros(_BATCH, dtype=torch.int32), torch.zeros(_BATCH, 2)

    inputs = (torch.zeros((_BATCH, *_SHAPE)),)
    program = TorchProgram(CompiledProgram(inputs=inputs, call=call, digest="0" * 64, build_seconds=0.0), "fp32")
    record = replace(PLAN, inputs=(GraphInput(name="pixels", shape=_SHAPE, dtype="float32"),), classes=2)
    noise = noise_of_inputs(1, _SIGMA, _SEED, 1)
    step = DeviceStep(HostQueue(1), program, noise, record, 3, max_pieces())
    return DeviceBackend(step, _info(placement)), seen


@pytest.mark.parametrize("placement", ["row_invariant", "static"])
@pytest.mark.parametrize("opened", [_host, _device])
def test_every_row_that_a_backend_runs_is_a_draw_of_an_image(opened: object, placement: Placement) -> None:
    backend, seen = opened(placement)  # type: ignore[operator]  # one of the two above
    with closing(backend):
        for slot, image in enumerate(_IMAGES):
            backend.place(slot, 10 + slot, image)
        for segments in (_SEGMENTS, _SEGMENTS[:1], _SEGMENTS[-1:]):
            votes = backend.submit(segments).result()
            assert votes[:, 0].tolist() == [segment.count for segment in segments]
            assert votes.sum() == votes[:, 0].sum()
    known = {_row(slot, phase, number) for slot in range(3) for phase in (0, 1) for number in _numbers()}
    assert len(seen) >= 5
    assert all(row.tobytes() in known for batch in seen for row in batch)


def _numbers() -> list[int]:
    return [*range(40), *range(2**32 - 16, 2**32)]


def _row(slot: int, phase: int, number: int) -> bytes:
    noise = draw(_SIGMA, seed=_SEED, image=10 + slot, phase=phase, draw=number, count=4)
    return np.clip(_IMAGES[slot].reshape(-1) + noise, -2048, 2047).astype(np.float32).tobytes()


def test_a_segment_of_padding_is_no_segment_of_a_submission() -> None:
    pieces = [filled(next(packed_batches([Segment(0, 1, 0, 3)], _BATCH)), _BATCH)]
    assert row_map(pieces, _BATCH, np.array([5]))[1:, 6].tolist() == [0, MAX_SEGMENTS]
