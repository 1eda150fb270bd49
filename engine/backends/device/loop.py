"""The backend whose loop stays on a device: the host sends a row map, and counts come back."""

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, final

import numpy as np
from jaxtyping import Int64, UInt8
from numpy.typing import NDArray

from purecert.engine.backends.base import MAX_SEGMENTS, Backend, BackendCost, BackendInfo, Segment
from purecert.engine.backends.device.kernels import EXTRA_COUNTS
from purecert.engine.backends.device.row_map import row_map
from purecert.engine.backends.device.step import DeviceStep
from purecert.engine.backends.packing import filled, packed_batches, static_batches
from purecert.engine.errors import BackendError, CheckError, PurecertError

# Rows of a submission, in batches. While one submission runs, the host has this long to answer the procedures.
BATCHES_PER_SUBMISSION = 8

_DRAWS = 2**32  # a draw is a word of the noise's address
_log = logging.getLogger("purecert")


def max_pieces() -> int:
    """Return how many pieces a submission can have at most.

    One a batch, two more where segments begin and end, and as many again for padding on either side.
    """
    return 3 * (BATCHES_PER_SUBMISSION + 2 * MAX_SEGMENTS)


@final
class DeviceBackend(Backend):
    """A device step and its queue; one thread waits for the counts, and the caller never does."""

    def __init__(self, step: DeviceStep, info: BackendInfo) -> None:
        self._step, self._info = step, info
        self._image_index = np.zeros(step.images.shape[0], np.int64)
        self._staged: list[NDArray[Any]] = []  # host memory of copies that may not be done
        self._waiter = ThreadPoolExecutor(1, thread_name_prefix="purecert")

    @property
    def info(self) -> BackendInfo:
        return self._info

    @property
    def slots(self) -> int:
        return self._step.images.shape[0]

    @property
    def capacity(self) -> int:
        return BATCHES_PER_SUBMISSION * self._info.batch

    def place(self, slot: int, image_index: int, pixels: UInt8[np.ndarray, "channels height width"]) -> None:
        queue, images = self._step.queue, self._step.images
        if pixels.shape != images.shape[1:]:
            raise ValueError(f"expected an image of shape {images.shape[1:]}, got {pixels.shape}")
        with queue.failures(), queue.entered():
            staged = queue.host_buffer((1, *pixels.shape), np.uint8)
            staged[0] = pixels
            self._staged.append(staged)
            queue.write(images.part(slot, 1), staged)
        self._image_index[slot] = image_index

    def submit(self, segments: Sequence[Segment]) -> Future[Int64[np.ndarray, "segments classes_and_invalid"]]:
        rows = sum(segment.count for segment in segments)
        if not 0 < rows <= self.capacity:
            raise ValueError(f"expected 1 to {self.capacity} rows in a submission, got {rows}")
        if len(segments) > MAX_SEGMENTS:
            raise ValueError(f"expected at most {MAX_SEGMENTS} segments in a submission, got {len(segments)}")
        if any(segment.first + segment.count > _DRAWS for segment in segments):
            raise ValueError(f"expected draws below 2**32, got {segments}")
        try:
            with self._step.queue.failures():
                wait, counts, staged = self._enqueue(segments)
        except PurecertError as error:
            failed: Future[Int64[np.ndarray, "segments classes_and_invalid"]] = Future()
            failed.set_exception(error)
            return failed
        return self._waiter.submit(self._settle, wait, counts, rows, staged)

    def cost(self) -> BackendCost:
        queue, program = self._step.queue, self._step.program
        return BackendCost(build_seconds=program.build_seconds, device_memory_peak=queue.memory_peak())

    def close(self) -> None:
        self._waiter.shutdown()
        queue, program = self._step.queue, self._step.program
        try:
            with queue.failures():
                queue.mark()()
        except PurecertError as error:
            # What failed on the device has been raised where its counts were awaited; closing must not hide it.
            _log.warning("closing: %s", error)
        del self._step
        for close in (program.close, queue.close):
            try:
                with queue.failures():
                    close()
            except PurecertError as error:
                _log.warning("closing: %s", error)
        self._staged.clear()

    def _enqueue(self, segments: Sequence[Segment]) -> tuple[Callable[[], None], NDArray[np.int32], list[Any]]:
        """Enqueue a submission; return how to wait, where the counts will be, and what must live until then."""
        step, queue = self._step, self._step.queue
        batches = packed_batches if self._info.placement == "row_invariant" else static_batches
        pieces = [filled(batch, self._info.batch) for batch in batches(segments, self._info.batch)]
        words = row_map(pieces, self._info.batch, self._image_index)
        staged = queue.host_buffer(words.shape, np.int32)
        np.copyto(staged, words.view(np.int32))
        counts = queue.host_buffer((len(segments), step.counts.shape[1]), np.int32)
        # Until that wait is over, the device may copy from and to these, also where the rest cannot be enqueued.
        self._staged += [staged, counts]
        with queue.entered():
            queue.write(step.row_map.part(0, len(words)), staged)
            queue.clear(step.counts.part(0, len(segments)))
            for _ in pieces:
                step.repeat()
            queue.read(counts, step.counts.part(0, len(segments)))
            wait = queue.mark()
        held, self._staged = self._staged, []
        return wait, counts, held

    def _settle(
        self, wait: Callable[[], None], counts: NDArray[np.int32], rows: int, held: list[Any]
    ) -> Int64[np.ndarray, "segments classes_and_invalid"]:
        """Return the counts once they are there; ``held`` is what the device copies from until then."""
        with self._step.queue.failures():
            wait()
        held.clear()
        return _votes(counts, rows)


def _votes(counts: NDArray[np.int32], rows: int) -> Int64[np.ndarray, "segments classes_and_invalid"]:
    """Return the votes of ``rows`` rows, after checking that each of them counts once and for a class."""
    votes = counts.view(np.uint32).astype(np.int64)
    classes = votes.shape[1] - EXTRA_COUNTS
    if votes[:, -1].any():
        raise BackendError(
            f"expected labels in [-1, {classes - 1}], got {votes[:, -1].sum()} others; export the plan again"
        )
    if votes.sum() != rows:
        # Not a BackendError: that is tried again, and a second try that comes out right would hide the fault.
        raise CheckError(f"expected {rows} votes from the device, got {votes.sum()}; report this as a fault")
    return votes[:, :-1]
