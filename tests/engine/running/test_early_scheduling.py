"""Images that end at different times in one scheduler: none is lost, none asks in vain, batches stay full."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from purecert.engine.backends.base import Segment
from purecert.engine.errors import BackendError
from purecert.engine.procedures.choosing import looks_of, procedure_for
from purecert.engine.procedures.spec import SmoothingSpec, StopSpec
from purecert.engine.procedures.tables.rule import with_tables
from purecert.engine.running.scheduler import Finished, Job, Scheduler, Usage
from support.faulty_backend import FaultyBackend
from support.simulated_graph import SimulatedGraph

_RADII = StopSpec(rule="radii", radii=(0.25, 0.5), alpha_final=5e-4)
_SPEC = SmoothingSpec(mode="certify", sigma=0.5, n_estimate=2_000, stop=_RADII)
_TABLES = with_tables(replace(_SPEC, stop=StopSpec(rule="radii", radii=(0.25, 0.5))), 0.0)
_SPECS = {
    "radii": _SPEC,
    "tables": _TABLES,
    "tolerance": replace(_SPEC, stop=StopSpec(rule="tolerance", tolerance=0.1, alpha_final=5e-4)),
    "against label": replace(_SPEC, against_label=True),
    "predict early": replace(_SPEC, mode="predict", stop=StopSpec(rule="answer", least_chance=1e-3)),
}
_NIGHTLY = {"tolerance": pytest.mark.nightly}  # many more looks
_NO_PIXELS = np.zeros((1, 1, 1), np.uint8)


def _laws(images: int) -> NDArray[np.float64]:
    """Return laws of class 0 from hopeless to certain, so that images need from dozens of draws to all."""
    p = np.linspace(0.3, 1, images)
    return np.stack([p, 1 - p, np.zeros(images)], axis=1)


def _jobs(images: int, spec: SmoothingSpec, *, ahead: bool = True) -> Iterator[Job]:
    looks = looks_of(spec, 0.0) if ahead else ()
    for i in range(images):
        yield Job(image_index=i, pixels=_NO_PIXELS, procedure=procedure_for(spec, 0.0, 0), looks=looks)


def _run(
    images: int, batch: int, slots: int, spec: SmoothingSpec = _SPEC, *, static: bool = False, ahead: bool = True
) -> tuple[list[Finished], Usage]:
    backend = SimulatedGraph(_laws(images), seed=1, batch=batch, slots=slots, static=static)
    scheduler = Scheduler(backend)
    return list(scheduler.run(_jobs(images, spec, ahead=ahead))), scheduler.usage


def _seen(ends: list[Finished]) -> list[tuple[object, ...]]:
    return [
        (end.job.image_index, end.outcome, end.looks, {phase: votes.tolist() for phase, votes in end.counts.items()})
        for end in ends
    ]


@pytest.mark.parametrize("slots", [1, 4, 256])
@pytest.mark.parametrize("batch", [64, 512])
def test_no_image_is_lost_and_none_sees_the_batching(slots: int, batch: int) -> None:
    """With few slots and large batches all images under way end in one submission, and others must still follow."""
    ends, _ = _run(40, batch, slots)
    assert [end.job.image_index for end in ends] == list(range(40))
    assert _seen(ends) == _seen(_run(40, 100, 7)[0])


@pytest.mark.slow
@pytest.mark.parametrize(
    "spec",
    [pytest.param(spec, id=name, marks=_NIGHTLY.get(name, ())) for name, spec in _SPECS.items()],
)
def test_a_lost_submission_is_drawn_again_and_no_image_sees_it(spec: SmoothingSpec) -> None:
    """Looks and outcomes are those of a run without a fault."""
    failing = [1, 5, 20]
    lossy, submissions = _run_losing(spec, failing)
    assert submissions > max(failing)
    assert _seen(lossy) == _seen(_run_losing(spec, [])[0])


def _run_losing(spec: SmoothingSpec, failing: Sequence[int]) -> tuple[list[Finished], int]:
    """Return the ends, and how many submissions it took."""
    backend = FaultyBackend(SimulatedGraph(_laws(40), seed=1, batch=64, slots=8), failing)
    return list(Scheduler(backend).run(_jobs(40, spec))), backend.submissions


def test_images_take_turns_where_the_place_matters_and_see_the_same() -> None:
    assert _seen(_run(40, 64, 16, static=True)[0]) == _seen(_run(40, 64, 16)[0])


def test_images_end_at_different_times() -> None:
    draws = [int(end.counts[1].sum()) for end in _run(40, 64, 16)[0]]
    assert min(draws) < 100
    assert max(draws) == 2_000


def test_nothing_is_drawn_that_was_not_counted() -> None:
    """A procedure asks for what it will look at, so no draw is in flight when it stops."""
    ends, usage = _run(40, 64, 16)
    assert usage.rows == sum(int(votes.sum()) for end in ends for votes in end.counts.values())


@pytest.mark.parametrize(("batch", "slots"), [(64, 1), (512, 4), (512, 256)])
def test_draws_made_ahead_fill_batches_and_no_image_sees_them(batch: int, slots: int) -> None:
    (ends, usage), (plain, padded) = (_run(40, batch, slots, _TABLES, ahead=ahead) for ahead in (True, False))
    assert _seen(ends) == _seen(plain)
    asked = sum(int(votes.sum()) for end in ends for votes in end.counts.values())
    assert (padded.rows, padded.in_vain) == (asked, 0)
    assert usage.rows == asked + usage.in_vain
    assert usage.needless_share < padded.needless_share / 3


def test_no_draw_is_made_ahead_where_the_place_matters() -> None:
    """Nor by a procedure whose next requests may end anywhere."""
    ends, usage = _run(20, 64, 16, _TABLES, static=True)
    assert usage.in_vain == 0
    assert _seen(ends) == _seen(_run(20, 64, 16, _TABLES)[0])
    assert not looks_of(_SPEC, 0.0)
    assert not looks_of(_SPECS["predict early"], 0.0)


def test_a_submission_holds_no_more_draws_ahead_than_segments_allow() -> None:
    """While an image is looked at after every draw, each of them is a segment."""
    assert _seen(_run(40, 4096, 256, _TABLES)[0]) == _seen(_run(40, 64, 256, _TABLES, ahead=False)[0])


def test_at_most_three_in_a_hundred_rows_of_a_small_run_with_tables_are_needless_at_batch_512() -> None:
    _, usage = _run(100, 512, 256, _TABLES)
    assert usage.needless_share <= 0.03


@pytest.mark.slow
def test_at_most_a_tenth_of_all_rows_is_needless_at_batch_512() -> None:
    _, usage = _run(400, 512, 256)
    assert usage.needless_share <= 0.1


def test_usage_adds_up_over_sessions() -> None:
    one, two = Usage(rows=90, padding=10, in_vain=5), Usage(rows=60, padding=40, in_vain=0)
    assert one + two == Usage(rows=150, padding=50, in_vain=5)
    assert (one + two).needless_share == pytest.approx(55 / 200)


def test_a_vote_that_moves_between_two_segments_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """No sum of a whole submission sees it, and two looks of one image would each be of other draws."""
    backend = SimulatedGraph(_laws(4), seed=1, batch=64, slots=4)
    counted, calls = backend._count, iter(range(10**6))

    def moved(segment: Segment) -> NDArray[np.int64]:
        return counted(segment) + [(1, 0, 0), (-1, 0, 0), (0, 0, 0)][min(next(calls), 2)]

    monkeypatch.setattr(backend, "_count", moved)
    with pytest.raises(BackendError, match="votes of a segment of as many draws"):
        list(Scheduler(backend).run(_jobs(4, _TABLES)))
