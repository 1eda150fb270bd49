"""Many images' procedures through one backend: full batches, two submissions in flight, results in dataset order."""

from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from purecert.engine.backends.base import MAX_SEGMENTS, Backend, Segment
from purecert.engine.backends.packing import batches_of
from purecert.engine.errors import BackendError
from purecert.engine.noise.contract import ESTIMATE
from purecert.engine.procedures.drawing import Counts, Draw, Procedure
from purecert.engine.procedures.outcomes import Outcome

_IN_FLIGHT = 2


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """One image to answer for."""

    image_index: int  # in the dataset: addresses the noise
    label: int | None = None  # the data's, where it has one
    pixels: NDArray[np.uint8]  # [C, H, W]
    procedure: Procedure
    drawn: Mapping[int, Counts] = field(default_factory=dict)  # phase -> counts that the procedure has already
    # Draws of the phase that estimates after which alone its requests end; none where they may end anywhere.
    looks: Sequence[int] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Finished:
    """One image's end: its outcome, and its counts per phase."""

    job: Job
    outcome: Outcome
    counts: dict[int, Counts]
    looks: int  # how often the procedure saw draws of the phase that estimates


@dataclass(frozen=True, kw_only=True, slots=True)
class Usage:
    """Rows that a run computed."""

    rows: int  # all draws made, including those made early that were not needed in the end
    padding: int  # rows of batches that held no draw
    # Draws that were made ahead and not asked for, and those of procedures' last requests beyond what it took to stop
    # at the least: nearly all that came after the first draw at which they would have stopped, had they looked at each.
    # A rule that would have, and no longer would at its next look, is not seen here.
    in_vain: int

    @property
    def needless_share(self) -> float:
        """Return about which share of all rows was not needed."""
        return (self.padding + self.in_vain) / max(1, self.rows + self.padding)

    def __add__(self, other: "Usage") -> "Usage":
        """Return what two sessions ran together."""
        return Usage(
            rows=self.rows + other.rows,
            padding=self.padding + other.padding,
            in_vain=self.in_vain + other.in_vain,
        )

    def __str__(self) -> str:
        """Return the usage as one line."""
        return (
            f"{self.rows} draws, {self.padding} rows of padding, about {self.in_vain} draws too many; "
            f"about {self.needless_share:.2%} of all rows were not needed"
        )


@dataclass(slots=True, eq=False)  # one image is itself, whatever its counts
class _Active:
    """An image in a slot: what its procedure asked for, and how much of that is sent and back."""

    job: Job
    slot: int
    draw: Draw  # the request under way
    sent: int = 0  # draws of the request that were submitted, and those made ahead of the next ones
    received: int = 0  # and those whose votes are back
    counts: dict[int, Counts] = field(default_factory=dict)  # whole phases so far
    asked: dict[int, int] = field(default_factory=dict)  # draws of each phase in earlier requests
    votes: Counts | None = None  # of the request under way
    looks: int = 0

    @property
    def missing(self) -> int:
        """Return the draws of the request that are still to be sent."""
        return max(0, self.draw.count - self.sent)

    @property
    def estimated(self) -> int:
        """Return the draws of the phase that estimates when the request is answered."""
        return self.asked.get(ESTIMATE, 0) + self.draw.count * (self.draw.phase == ESTIMATE)


def _begun(job: Job, slot: int) -> _Active:
    """Return the image in its slot, from the draw on that its procedure asks for first."""
    asked = {phase: int(counts.sum()) for phase, counts in job.drawn.items()}
    looks = int(ESTIMATE in job.drawn)
    return _Active(job, slot, next(job.procedure), counts=dict(job.drawn), asked=asked, looks=looks)


@dataclass(frozen=True, slots=True)
class _Submission:
    future: Future[NDArray[np.int64]]
    segments: Sequence[Segment]
    owners: Sequence[_Active]
    retried: bool


def _check_votes(votes: NDArray[np.int64], segments: Sequence[Segment]) -> None:
    """Check that each segment got a vote a draw: one that moved to another look of its image would change no sum.

    Raises:
        BackendError: One did not.
    """
    counted, asked = votes.sum(axis=1), np.array([segment.count for segment in segments])
    if (wrong := counted != asked).any():
        place = int(wrong.argmax())
        raise BackendError(f"expected {asked[place]} votes of a segment of as many draws, got {counted[place]}")


class Scheduler:
    """Runs jobs on a backend. What an image's procedure sees depends on its own draws only, never on the batching."""

    def __init__(self, backend: Backend, on_rows: Callable[[int], None] = lambda rows: None) -> None:
        """Prepare to run on ``backend``; ``on_rows`` hears the rows counted, for a progress bar."""
        self._backend, self._on_rows = backend, on_rows
        # Where a row's result depends on its place, images take turns so that every draw keeps its place.
        slots = 1 if backend.info.placement == "static" else backend.slots
        self._free = deque(range(slots))
        self._active: deque[_Active] = deque()
        self._in_flight: deque[_Submission] = deque()
        self._finished: dict[int, Finished] = {}
        self._rows = self._batches = self._in_vain = 0

    @property
    def usage(self) -> Usage:
        """Return what has been run so far, and how much of it was not needed."""
        return Usage(
            rows=self._rows,
            padding=self._batches * self._backend.info.batch - self._rows,
            in_vain=self._in_vain,
        )

    def run(self, jobs: Iterable[Job]) -> Iterator[Finished]:
        """Yield each job's end in the order of ``jobs``; at most ``slots`` jobs are begun and unfinished.

        Raises:
            BackendError: A submission failed twice.
        """
        waiting, order = iter(jobs), deque[int]()
        while True:
            while order and order[0] in self._finished:
                yield self._finished.pop(order.popleft())
            self._admit(waiting, order)  # after the yields: finished images that wait could keep all others out
            if not order:
                return
            if len(self._in_flight) == _IN_FLIGHT or not self._submit():
                self._settle(self._in_flight.popleft())

    def _admit(self, waiting: Iterator[Job], order: deque[int]) -> None:
        # Unfinished images hold back the finished ones that follow them, so those are bounded as well.
        while self._free and len(order) < 4 * self._backend.slots:
            job = next(waiting, None)
            if job is None:
                return
            slot = self._free.popleft()
            self._backend.place(slot, job.image_index, job.pixels)
            self._active.append(_begun(job, slot))
            order.append(job.image_index)

    def _submit(self) -> bool:
        """Send what fits; return whether anything was sent."""
        owners, segments = self._pack()
        if not segments:
            return False
        for owner, segment in zip(owners, segments, strict=True):
            owner.sent += segment.count
        self._rows += sum(segment.count for segment in segments)
        self._batches += batches_of(segments, self._backend.info.batch, self._backend.info.placement)
        self._in_flight.append(_Submission(self._backend.submit(segments), segments, owners, retried=False))
        return True

    def _pack(self) -> tuple[list[_Active], list[Segment]]:
        """Return the next segments in the images' order, a whole number of batches while more may come."""
        room = min(self._backend.capacity, sum(active.missing for active in self._active))
        if self._in_flight:
            room -= room % self._backend.info.batch
        owners, segments = [], []
        for active in self._active:
            count = min(room, active.missing)
            if count:
                first = active.asked.get(active.draw.phase, 0) + active.sent
                owners.append(active)
                segments.append(Segment(active.slot, active.draw.phase, first, count))
                room -= count
        if self._backend.info.placement == "row_invariant":
            self._fill(owners, segments)
        return owners, segments

    def _fill(self, owners: list[_Active], segments: list[Segment]) -> None:
        """Put the draws that the next looks would ask for where there would be padding: of each image in turn.

        There is room only where nothing is in flight and ``segments`` hold all that is asked for. Each of them that is
        drawn ahead ends at a look or before, so it is asked for whole or not at all.
        """
        room = -sum(segment.count for segment in segments) % self._backend.info.batch
        reached = [(active, active.estimated) for active in self._active if active.job.looks]
        while room and reached:
            following = []
            for active, first in reached:
                looks = active.job.looks
                place = bisect_right(looks, first)
                count = min(room, looks[place] - first) if place < len(looks) else 0
                if count and len(segments) < MAX_SEGMENTS:
                    owners.append(active)
                    segments.append(Segment(active.slot, ESTIMATE, first, count))
                    following.append((active, first + count))
                    room -= count
            reached = following

    def _settle(self, submission: _Submission) -> None:
        try:
            votes = submission.future.result()
        except BackendError:
            if submission.retried:
                raise
            # The same addresses give the same rows, so a second try cannot bias anything; skipping would.
            again = self._backend.submit(submission.segments)
            self._in_flight.append(_Submission(again, submission.segments, submission.owners, retried=True))
            return
        _check_votes(votes, submission.segments)
        for active, segment, counted in zip(submission.owners, submission.segments, votes, strict=True):
            self._on_rows(segment.count)
            self._receive(active, segment.count, counted)

    def _receive(self, active: _Active, count: int, votes: Counts) -> None:
        active.votes = votes if active.votes is None else active.votes + votes
        active.received += count  # of an image that is over, more than was asked for: that was drawn ahead
        if active.received == active.draw.count:
            self._answer(active, active.votes)

    def _answer(self, active: _Active, votes: Counts) -> None:
        """Hand the procedure what it asked for, and begin its next request or end it."""
        phase = active.draw.phase
        active.counts[phase] = active.counts.get(phase, 0) + votes
        active.asked[phase] = active.asked.get(phase, 0) + active.draw.count
        active.looks += phase == ESTIMATE
        ahead = active.sent - active.draw.count
        try:
            active.draw = active.job.procedure.send(votes)
        except StopIteration as end:
            self._in_vain += active.draw.spare + ahead
            self._finish(active, end.value)
            return
        active.sent, active.received, active.votes = ahead, 0, None

    def _finish(self, active: _Active, outcome: Outcome) -> None:
        index = active.job.image_index
        self._finished[index] = Finished(job=active.job, outcome=outcome, counts=active.counts, looks=active.looks)
        self._active.remove(active)
        self._free.append(active.slot)
