"""The device loop on the host: the kernels' templates, row maps, segments and counts are those of a GPU."""

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from purecert.engine.backends.base import MAX_SEGMENTS, Backend, BackendInfo, BackendOptions, Segment
from purecert.engine.backends.device.loop import BATCHES_PER_SUBMISSION, DeviceBackend, max_pieces
from purecert.engine.backends.device.step import DeviceStep, ProbedProgram
from purecert.engine.backends.graph import Opened
from purecert.engine.backends.opening import checked_backend, open_backend
from purecert.engine.backends.torch.compile import open_program
from purecert.engine.backends.torch.program import CompiledProgram, TorchProgram
from purecert.engine.backends.torch.queue import CudaQueue, HostQueue
from purecert.engine.errors import BackendError, InputError
from purecert.engine.images.datasets import load_dataset
from purecert.engine.noise.inputs import noise_of_inputs, total_variation
from purecert.engine.plans.plan import Plan, read_plan
from purecert.engine.plans.trust import write_trusted
from purecert.engine.procedures.choosing import procedure_for
from purecert.engine.procedures.outcomes import Certificate
from purecert.engine.procedures.spec import SmoothingSpec
from purecert.engine.running.scheduler import Finished, Job, Scheduler

pytestmark = pytest.mark.slow  # half precision is slow on a processor

_SEED, _SIGMA, _BATCH = 2**63 + 5, 0.5, 32
_DIGITS = load_dataset("digits:test[:20]")
_SPEC = SmoothingSpec(mode="certify", sigma=_SIGMA, n_select=20, n_estimate=300, alpha=1e-3)


@pytest.fixture(scope="module")
def plan(demo_plan_fp16: Path) -> Plan:
    return read_plan(demo_plan_fp16)


def _eager(plan: Plan, batch: int, call: Callable[..., Any] | None = None) -> CompiledProgram:
    """Return the plan's program uncompiled: the loop around it is what is tested here."""
    module = torch.export.load(str(plan.cached_program(_SIGMA))).module()
    inputs = tuple(
        torch.zeros((batch, *entry.shape), dtype=getattr(torch, entry.dtype)) for entry in plan.record.inputs
    )
    return CompiledProgram(inputs=inputs, call=call or module, digest="0" * 64, build_seconds=1.5)


def _open(plan: Plan, program: CompiledProgram, batch: int, placement: str | None = None) -> Backend:
    queue, options = HostQueue(1), BackendOptions(name="torch-cuda", batch=batch, probe_rows=batch)
    own = TorchProgram(program, "fp16")
    noise = noise_of_inputs(len(plan.record.inputs), _SIGMA, _SEED, 1)

    def backend(info: BackendInfo) -> DeviceBackend:
        placed = info if placement is None else replace(info, placement=placement)
        return DeviceBackend(DeviceStep(queue, own, noise, plan.record, 8, max_pieces()), placed)

    opened = Opened(graph=ProbedProgram(queue, own), hardware="host", backend=backend)
    return checked_backend(opened, plan, _SIGMA, _SEED, options, _DIGITS.images, _DIGITS.indices)


def _step(plan: Plan, program: CompiledProgram) -> DeviceStep:
    noise = noise_of_inputs(len(plan.record.inputs), _SIGMA, _SEED, 1)
    return DeviceStep(HostQueue(1), TorchProgram(program, "fp16"), noise, plan.record, 8, max_pieces())


def _certify(backend: Backend) -> list[Finished]:
    tv = total_variation([64], _SIGMA)
    jobs = [
        Job(image_index=int(index), pixels=pixels, procedure=procedure_for(_SPEC, tv))
        for index, pixels in zip(_DIGITS.indices, _DIGITS.images, strict=True)
    ]
    return list(Scheduler(backend).run(jobs))


@contextmanager
def _torch_backend(plan: Plan) -> Iterator[Backend]:
    options = BackendOptions(name="torch", batch=_BATCH, threads=1, probe_rows=_BATCH)
    with closing(open_backend(plan, _SIGMA, _SEED, options, _DIGITS.images, _DIGITS.indices)) as backend:
        yield backend


@pytest.mark.parametrize("placement", [pytest.param("row_invariant", marks=pytest.mark.nightly), "static"])
@pytest.mark.parametrize("batch", [pytest.param(32, marks=pytest.mark.nightly), 50])
def test_certificates_are_those_of_the_host_backend(plan: Plan, batch: int, placement: str) -> None:
    """The same program behind the same noise: whatever the loop did wrong would change a count."""
    with _torch_backend(plan) as host, closing(_open(plan, _eager(plan, batch), batch, placement)) as device:
        expected, found = _certify(host), _certify(device)
    assert sum(isinstance(end.outcome, Certificate) for end in expected) > 10
    for one, other in zip(expected, found, strict=True):
        assert one.outcome == other.outcome
        assert {phase: votes.tolist() for phase, votes in one.counts.items()} == {
            phase: votes.tolist() for phase, votes in other.counts.items()
        }


def test_single_draws_have_the_labels_of_the_host_backend(plan: Plan) -> None:
    with _torch_backend(plan) as host, closing(_open(plan, _eager(plan, _BATCH), _BATCH)) as device:
        for backend in (host, device):
            for slot in range(8):
                backend.place(slot, int(_DIGITS.indices[slot]), _DIGITS.images[slot])
        segments = [Segment(slot, 1, 2**32 - 13 + draw, 1) for slot in range(8) for draw in range(13)]
        expected, found = host.submit(segments).result(), device.submit(segments).result()
    assert expected.sum(axis=1).tolist() == [1] * len(segments)
    assert np.array_equal(expected, found)


@pytest.mark.nightly
def test_a_compiled_program_votes_like_the_exported_one(plan: Plan) -> None:
    """Compiled ahead of time for the host, by the same code as for a GPU; the second opening reads the cache."""
    program = open_program(plan, _SIGMA, _BATCH, HostQueue(1), trust=False)
    again = open_program(plan, _SIGMA, _BATCH, HostQueue(1), trust=False)
    assert again.digest == program.digest
    assert again.build_seconds == program.build_seconds > 0
    with _torch_backend(plan) as host, closing(_open(plan, again, _BATCH)) as device:
        assert device.cost().build_seconds == again.build_seconds
        expected, found = _certify(host), _certify(device)
    differing = sum(
        int(abs(one.counts[1] - other.counts[1]).sum()) // 2 for one, other in zip(expected, found, strict=True)
    )
    assert differing <= 20 * 300 * 0.005  # the gate's limit for FP16


def test_a_compiled_file_from_elsewhere_is_not_loaded(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    """Here: this machine's file, changed by one byte. What is in it does not matter, so nothing is compiled."""
    made = []

    def compile_into(path: Path, content: bytes, inputs: tuple[torch.Tensor, ...], origin: str) -> None:
        made.append(path)
        write_trusted(path, b"a compiled file", origin)
        path.write_bytes(b"a Compiled file")

    monkeypatch.setattr("purecert.engine.backends.torch.compile._compile_into", compile_into)
    batch = _BATCH + 1  # of no other test
    with pytest.raises(InputError, match="does not carry this machine's tag"):
        open_program(plan, _SIGMA, batch, HostQueue(1), trust=False)
    assert len(made) == 1


def test_a_label_that_is_no_class_fails_the_submission(plan: Plan) -> None:
    program = _eager(plan, _BATCH)
    labels = torch.full((_BATCH,), 10, dtype=torch.int32)
    broken = _eager(plan, _BATCH, call=lambda *rows: (labels, program.call(*rows)[1]))
    step = _step(plan, broken)
    with _torch_backend(plan) as host, closing(DeviceBackend(step, host.info)) as device:
        device.place(0, 0, _DIGITS.images[0])
        with pytest.raises(BackendError, match=r"expected labels in \[-1, 9\], got 20 others"):
            device.submit([Segment(0, 1, 0, 20)]).result()


def test_a_submission_is_bounded(plan: Plan) -> None:
    with closing(_open(plan, _eager(plan, _BATCH), _BATCH)) as device:
        assert device.capacity == BATCHES_PER_SUBMISSION * _BATCH
        with pytest.raises(ValueError, match="expected 1 to 256 rows"):
            device.submit([Segment(0, 1, 0, device.capacity + 1)])
        with pytest.raises(ValueError, match="at most 1024 segments"):
            device.submit([Segment(0, 1, 0, 0)] * MAX_SEGMENTS + [Segment(0, 1, 0, 1)])
        with pytest.raises(ValueError, match="expected an image of shape"):
            device.place(0, 0, np.zeros((1, 9, 8), np.uint8))


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is there")
def test_without_a_gpu_the_backend_says_so(plan: Plan) -> None:
    with pytest.raises(BackendError, match="backend torch-cuda needs a GPU"):
        CudaQueue()
    options = BackendOptions(name="torch-cuda", batch=_BATCH)
    with pytest.raises(BackendError, match="backend torch-cuda needs a GPU"):
        open_backend(plan, _SIGMA, _SEED, options, _DIGITS.images, _DIGITS.indices)


def test_a_failure_of_the_device_is_one_of_the_submission(plan: Plan) -> None:
    program, calls = _eager(plan, _BATCH), []

    def failing(*rows: torch.Tensor) -> Any:
        calls.append(len(rows))
        if len(calls) == 2:
            raise RuntimeError("CUDA error: unspecified launch failure")
        return program.call(*rows)

    step = _step(plan, _eager(plan, _BATCH, call=failing))
    with _torch_backend(plan) as host, closing(DeviceBackend(step, host.info)) as device:
        device.place(0, 0, _DIGITS.images[0])
        whole = [Segment(0, 1, 0, 3 * _BATCH)]
        with pytest.raises(BackendError, match="unspecified launch failure"):
            device.submit(whole).result()
        assert device.submit(whole).result().sum() == 3 * _BATCH


def test_placing_an_image_changes_later_submissions_only(plan: Plan) -> None:
    with closing(_open(plan, _eager(plan, _BATCH), _BATCH)) as device:
        votes = {}
        for index in (0, 1):
            device.place(3, index, _DIGITS.images[index])
            votes[index] = device.submit([Segment(3, 1, 0, 200)])
        assert [votes[i].result()[0].argmax() for i in (0, 1)] == [int(_DIGITS.labels[i]) for i in (0, 1)]
