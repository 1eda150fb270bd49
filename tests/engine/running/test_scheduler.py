"""Many images through one backend: the same votes as one row at a time, whatever the batching."""

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import helper

from purecert.engine.backends.base import BackendOptions
from purecert.engine.backends.opening import open_backend
from purecert.engine.backends.rows import row_check
from purecert.engine.errors import BackendError, CheckError
from purecert.engine.noise.rows import draw
from purecert.engine.plans.plan import Plan
from purecert.engine.procedures.certify import certify
from purecert.engine.procedures.spec import SmoothingSpec
from purecert.engine.running.scheduler import Job, Scheduler
from support.faulty_backend import FaultyBackend
from support.plans import LABEL_CONSTANTS, label_nodes, linear_plan, write_test_plan
from support.runs import certify_images

_SHAPE = (1, 2, 3)
_WEIGHT = np.array([3, -2, 5, 1, -4, 2], np.float32)
_THRESHOLD = 600.5
_SPEC = SmoothingSpec(mode="certify", sigma=0.5, n_select=50, n_estimate=1000, alpha=1e-3)
_SEED = 2**63 + 12345


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    return linear_plan(tmp_path / "plan", _WEIGHT, _THRESHOLD, _SHAPE)


@pytest.fixture
def images() -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (9, *_SHAPE), dtype=np.uint8)


def _votes_one_row_at_a_time(image: NDArray[np.uint8], index: int, phase: int, count: int) -> list[int]:
    votes = [0, 0, 0]
    for number in range(count):
        noise = draw(_SPEC.sigma, seed=_SEED, image=index, phase=phase, draw=number, count=image.size)
        z = np.clip(image.reshape(-1).astype(np.int64) + noise, -2048, 2047)
        votes[int(z @ _WEIGHT.astype(np.int64) > _THRESHOLD)] += 1
    return votes


def test_votes_are_those_of_single_rows(plan: Plan, images: NDArray[np.uint8]) -> None:
    ends = certify_images(plan, images[:3], _SPEC, seed=_SEED, batch=64)
    for index, end in enumerate(ends):
        assert end.counts[0].tolist() == _votes_one_row_at_a_time(images[index], index, 0, _SPEC.n_select)
        assert end.counts[1].tolist() == _votes_one_row_at_a_time(images[index], index, 1, _SPEC.n_estimate)


@pytest.mark.slow
@pytest.mark.parametrize("batch", [pytest.param(1, marks=pytest.mark.nightly), 7, 64, 256, 5000])
def test_votes_do_not_depend_on_the_batch_or_the_order(plan: Plan, images: NDArray[np.uint8], batch: int) -> None:
    usual = certify_images(plan, images, _SPEC, seed=_SEED, batch=100)
    shuffled = [4, 0, 8, 2, 6, 1, 7, 3, 5]
    other = certify_images(plan, images, _SPEC, seed=_SEED, batch=batch, order=shuffled)
    for one, two in zip(usual, other, strict=True):
        assert one.outcome == two.outcome
        assert {phase: votes.tolist() for phase, votes in one.counts.items()} == {
            phase: votes.tolist() for phase, votes in two.counts.items()
        }


def test_results_come_in_the_order_of_the_jobs(plan: Plan, images: NDArray[np.uint8]) -> None:
    backend = open_backend(plan, 0.5, _SEED, BackendOptions(batch=32), images, np.arange(len(images)))
    # A short job behind a long one finishes first and must wait.
    specs = [SmoothingSpec(mode="certify", sigma=0.5, n_estimate=n) for n in (3000, 20, 500, 20)]
    jobs = [Job(image_index=i, pixels=images[i], procedure=certify(spec, 0.0)) for i, spec in enumerate(specs)]
    with closing(backend):
        assert [end.job.image_index for end in Scheduler(backend).run(jobs)] == [0, 1, 2, 3]


def _run_faulty(plan: Plan, images: NDArray[np.uint8], failing: Sequence[int]) -> list[list[int]]:
    opened = open_backend(plan, 0.5, _SEED, BackendOptions(batch=64), images, np.arange(len(images)))
    with closing(FaultyBackend(opened, failing)) as backend:
        jobs = [Job(image_index=i, pixels=images[i], procedure=certify(_SPEC, 0.0)) for i in range(len(images))]
        return [end.counts[1].tolist() for end in Scheduler(backend).run(jobs)]


def test_a_failed_submission_is_drawn_again_at_the_same_addresses(plan: Plan, images: NDArray[np.uint8]) -> None:
    assert _run_faulty(plan, images, [1, 4, 9]) == _run_faulty(plan, images, [])


def test_a_submission_that_fails_twice_ends_the_run(plan: Plan, images: NDArray[np.uint8]) -> None:
    with pytest.raises(BackendError, match="device was lost"):
        _run_faulty(plan, images, range(1, 100))


def _placed_plan(directory: Path, batch: int) -> Plan:
    """Write a linear classifier whose logits also depend a little on the row's place in its batch."""
    places = np.linspace(0, 400, batch, dtype=np.float32)[:, None] * np.array([[0, 1]], np.float32)
    nodes = [
        helper.make_node("Flatten", ["pixels"], ["flat"]),
        helper.make_node("Gemm", ["flat", "matrix", "bias"], ["linear"]),
        helper.make_node("Add", ["linear", "places"], ["logits"]),
        *label_nodes(),
    ]
    matrix = np.stack([np.zeros_like(_WEIGHT), _WEIGHT], axis=1)
    constants = {"matrix": matrix, "bias": np.array([0, -_THRESHOLD], np.float32), "places": places, **LABEL_CONSTANTS}
    return write_test_plan(directory, nodes, constants, _SHAPE)


def test_where_the_place_matters_every_draw_keeps_its_place(
    tmp_path: Path, images: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = 16
    plan = _placed_plan(tmp_path / "plan", batch)
    with pytest.raises(CheckError, match="change at another place; no certificate is possible"):
        open_backend(plan, 0.5, _SEED, BackendOptions(batch=batch), images, np.arange(len(images)))
    monkeypatch.setattr(row_check, "MOST_PLACED", 1.0)  # so that a wrong place shows in the votes below
    backend = open_backend(plan, 0.5, _SEED, BackendOptions(batch=batch), images, np.arange(len(images)))
    backend.close()
    assert backend.info.placement == "static"
    usual = certify_images(plan, images, _SPEC, seed=_SEED, batch=batch)
    other = certify_images(plan, images, _SPEC, seed=_SEED, batch=batch, order=[8, 7, 6, 5, 4, 3, 2, 1, 0])
    assert [end.counts[1].tolist() for end in usual] == [end.counts[1].tolist() for end in other]
    assert usual[2].counts[1].tolist() == _votes_at_their_places(images[2], 2, batch)


def _votes_at_their_places(image: NDArray[np.uint8], index: int, batch: int) -> list[int]:
    votes, places = [0, 0, 0], np.linspace(0, 400, batch, dtype=np.float32)
    for number in range(_SPEC.n_estimate):
        noise = draw(_SPEC.sigma, seed=_SEED, image=index, phase=1, draw=number, count=image.size)
        z = np.clip(image.reshape(-1).astype(np.int64) + noise, -2048, 2047)
        votes[int(z @ _WEIGHT.astype(np.int64) - _THRESHOLD + places[number % batch] > 0)] += 1
    return votes


def test_rows_that_see_each_other_are_refused(tmp_path: Path, images: NDArray[np.uint8]) -> None:
    nodes = [
        helper.make_node("Flatten", ["pixels"], ["flat"]),
        helper.make_node("Gemm", ["flat", "matrix"], ["linear"]),
        # A scale over the whole batch, as dynamic quantisation takes it.
        helper.make_node("ReduceMax", ["linear"], ["largest"], keepdims=1),
        helper.make_node("Div", ["linear", "largest"], ["logits"]),
        *label_nodes(),
    ]
    matrix = np.stack([np.zeros_like(_WEIGHT), _WEIGHT], axis=1)
    plan = write_test_plan(tmp_path / "plan", nodes, {"matrix": matrix, **LABEL_CONSTANTS}, _SHAPE)
    with pytest.raises(CheckError, match="rows beside it"):
        open_backend(plan, 0.5, _SEED, BackendOptions(batch=16), images, np.arange(len(images)))


def test_a_row_whose_logits_are_not_finite_is_counted_as_invalid(tmp_path: Path, images: NDArray[np.uint8]) -> None:
    """log of a negative number is NaN: rows with w . z < 0 must neither vote nor vanish."""
    nodes = [
        helper.make_node("Flatten", ["pixels"], ["flat"]),
        helper.make_node("Gemm", ["flat", "matrix"], ["linear"]),
        helper.make_node("Log", ["linear"], ["logits"]),
        *label_nodes(),
    ]
    matrix = np.stack([_WEIGHT, 2 * _WEIGHT], axis=1)
    plan = write_test_plan(tmp_path / "plan", nodes, {"matrix": matrix, **LABEL_CONSTANTS}, _SHAPE)
    (end,) = certify_images(plan, images[:1], _SPEC, seed=_SEED)
    invalid = 0
    for number in range(_SPEC.n_estimate):
        noise = draw(_SPEC.sigma, seed=_SEED, image=0, phase=1, draw=number, count=6)
        z = np.clip(images[0].reshape(-1).astype(np.int64) + noise, -2048, 2047)
        invalid += bool(z @ _WEIGHT.astype(np.int64) <= 0)
    assert 0 < invalid < _SPEC.n_estimate
    assert end.counts[1].tolist() == [0, _SPEC.n_estimate - invalid, invalid]
