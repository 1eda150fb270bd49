"""The backend of every graph that runs on the host: noise into the graph's buffers, labels into counts."""

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import final

import numpy as np
from jaxtyping import Int64, UInt8
from numpy.typing import NDArray

from purecert.engine.backends.base import Backend, BackendInfo, Segment
from purecert.engine.backends.graph import HostGraph, Opened
from purecert.engine.backends.packing import Piece, filled, packed_batches, static_batches
from purecert.engine.errors import BackendError
from purecert.engine.hardware import describe_cpu
from purecert.engine.noise.inputs import InputNoise
from purecert.engine.plans.plan import Plan

# Rows of a submission, in batches: enough that the scheduler's work per submission does not show.
_BATCHES_PER_SUBMISSION = 4
# Images that a graph on the host holds at once: where each asks for a few draws, they still fill a batch of 512.
HOST_SLOTS = 256


def open_on_host(plan: Plan, noise: Sequence[InputNoise], graph: HostGraph) -> Opened:
    """Return ``graph``, loaded from ``plan``, opened with its noise."""
    return Opened(
        graph=graph,
        hardware=describe_cpu(),
        backend=lambda info: HostBackend(graph, noise, info, plan.record.classes, HOST_SLOTS),
    )


@final
class HostBackend(Backend):
    """A host graph run by one worker thread, which keeps placements and submissions in order."""

    def __init__(
        self, graph: HostGraph, noise: Sequence[InputNoise], info: BackendInfo, classes: int, slots: int
    ) -> None:
        self._graph, self._noise, self._info, self._classes, self._slots = graph, noise, info, classes, slots
        self._images = np.zeros((slots, *graph.inputs[0].shape[1:]), np.uint8)
        self._image_index = np.zeros(slots, np.int64)
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="purecert")

    @property
    def info(self) -> BackendInfo:
        return self._info

    @property
    def slots(self) -> int:
        return self._slots

    @property
    def capacity(self) -> int:
        return _BATCHES_PER_SUBMISSION * self._info.batch

    def place(self, slot: int, image_index: int, pixels: UInt8[np.ndarray, "channels height width"]) -> None:
        if pixels.shape != self._images.shape[1:]:
            raise ValueError(f"expected an image of shape {self._images.shape[1:]}, got {pixels.shape}")
        self._worker.submit(self._place, slot, image_index, pixels.copy())

    def submit(self, segments: Sequence[Segment]) -> Future[Int64[np.ndarray, "segments classes_and_invalid"]]:
        rows = sum(segment.count for segment in segments)
        if not 0 < rows <= self.capacity:
            raise ValueError(f"expected 1 to {self.capacity} rows in a submission, got {rows}")
        return self._worker.submit(self._count, tuple(segments))

    def close(self) -> None:
        self._worker.shutdown()
        self._graph.close()

    def _place(self, slot: int, image_index: int, pixels: UInt8[np.ndarray, "channels height width"]) -> None:
        self._images[slot] = pixels
        self._image_index[slot] = image_index

    def _count(self, segments: Sequence[Segment]) -> Int64[np.ndarray, "segments classes_and_invalid"]:
        counts = np.zeros((len(segments), self._classes + 1), np.int64)
        batches = packed_batches if self._info.placement == "row_invariant" else static_batches
        for pieces in batches(segments, self._info.batch):
            self._fill(filled(pieces, self._info.batch))
            add_votes(counts, pieces, self._graph.labels())
        return counts

    def _fill(self, pieces: Sequence[Piece]) -> None:
        """Write the noisy rows of ``pieces``, which lie end to end and fill the batch."""
        addresses = np.array([[p.slot, self._image_index[p.slot], p.phase, p.first, p.count] for p in pieces], np.int64)
        for noise, buffer in zip(self._noise, self._graph.inputs, strict=True):
            noise.fill(buffer, addresses, self._images)


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
