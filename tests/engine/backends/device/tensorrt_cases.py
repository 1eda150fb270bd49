"""Certification with a TensorRT-RTX engine on the fake driver; ``test_tensorrt.py`` runs these in their own process.

Real here: the engine and its tag, pycuda, the queue, the loop, the noise and the votes (the host's build of the
kernels). Fake: the driver, whose memory is the host's, and the engine's execution.
"""

import gc
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

os.environ["FAKE_CUDA_ARCHITECTURE"] = "89"  # what test_tensorrt.py built for; the driver reads it when it is loaded

from purecert.engine.backends.base import Backend, BackendInfo, BackendOptions, Segment
from purecert.engine.backends.opening import open_backend
from purecert.engine.backends.tensorrt.cache import EngineFile, open_engine
from purecert.engine.backends.tensorrt.target import any_gpu
from purecert.engine.errors import BackendError, CheckError, InputError, OutOfMemoryError
from purecert.engine.images.datasets import load_dataset
from purecert.engine.noise.inputs import total_variation
from purecert.engine.plans.plan import Plan, read_plan
from purecert.engine.plans.trust import is_of_this_machine
from purecert.engine.procedures.choosing import procedure_for
from purecert.engine.procedures.outcomes import Certificate
from purecert.engine.procedures.spec import SmoothingSpec
from purecert.engine.records.run_record import make_record
from purecert.engine.running.scheduler import Finished, Job, Scheduler
from purecert.export.fusing.fuse import fuse
from purecert.export.gate.engines import gate_engines
from purecert.train.models.checkpoints import demo_model_path, load_model
from support.fake_cuda.driver import CudaError, FakeDriver
from support.fake_cuda.kernels import StreamKernels
from support.fake_tensorrt import FakeLibrary

_SEED, _SIGMA, _BATCH = 2**63 + 5, 0.5, 32
_FAKE = FakeDriver()
_DIGITS = load_dataset("digits:test[:12]")
_SPEC = SmoothingSpec(mode="certify", sigma=_SIGMA, n_select=20, n_estimate=300, alpha=1e-3)


@pytest.fixture(scope="module")
def plan() -> Iterator[Plan]:
    """Return the plan with its engine, under the machine key that tagged it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CONFIG_HOME", os.environ["PURECERT_TEST_CONFIG"])
        yield read_plan(Path(os.environ["PURECERT_TEST_PLAN"]))


@pytest.fixture
def library(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> FakeLibrary:
    """Install what stands in for the GPU: TensorRT's runtime, and our kernels for it."""
    import purecert

    _FAKE.reset()
    kernels = StreamKernels(_FAKE)
    monkeypatch.setitem(sys.modules, "purecert._cuda", kernels)
    monkeypatch.setattr(purecert, "_cuda", kernels, raising=False)
    monkeypatch.setitem(sys.modules, "tensorrt_rtx_bindings", sys.modules["tensorrt_rtx_bindings"])
    fake = FakeLibrary(plan, _SIGMA, kernels, _BATCH)
    fake.install()
    return fake


def _open(plan: Plan, name: str = "tensorrt-rtx", *, trust: bool = False) -> Backend:
    options = BackendOptions(name=name, batch=_BATCH, threads=1, probe_rows=_BATCH, trust=trust)
    return open_backend(plan, _SIGMA, _SEED, options, _DIGITS.images, _DIGITS.indices)


def _certify(backend: Backend) -> list[Finished]:
    tv = total_variation([64], _SIGMA)
    return list(
        Scheduler(backend).run(
            Job(image_index=int(index), pixels=pixels, procedure=procedure_for(_SPEC, tv))
            for index, pixels in zip(_DIGITS.indices, _DIGITS.images, strict=True)
        )
    )


@pytest.fixture
def backend(plan: Plan, library: FakeLibrary) -> Iterator[Backend]:
    """Return the open backend; nothing may be left on the device when it is closed."""
    before = _FAKE.left("device"), _FAKE.left("page_locked")
    with closing(_open(plan)) as backend:
        yield backend
    assert _FAKE.failures == []
    assert _FAKE.violations() == []
    assert (_FAKE.left("device"), _FAKE.left("page_locked")) == before
    assert library.kernels.graphs == {}


def test_certificates_are_those_of_the_same_graph_on_the_host(plan: Plan, backend: Backend) -> None:
    with closing(_open(plan, "onnxruntime")) as host:
        expected, found = _certify(host), _certify(backend)
    assert sum(isinstance(end.outcome, Certificate) for end in expected) > 6
    for one, other in zip(expected, found, strict=True):
        assert one.outcome == other.outcome
        assert {phase: votes.tolist() for phase, votes in one.counts.items()} == {
            phase: votes.tolist() for phase, votes in other.counts.items()
        }


def test_a_run_names_the_engine_and_what_made_it(plan: Plan, library: FakeLibrary, backend: Backend) -> None:
    (content,) = library.deserialised
    (path,) = (plan.directory / "cache").glob("*.engine")
    assert content == path.read_bytes()
    info = backend.info
    assert (info.name, info.executed_precision, info.nodes) == ("tensorrt-rtx", "fp16", {})
    assert (info.probed, info.placement) == ("labels", "static")
    assert info.versions.keys() == {"pycuda", "cuda-driver", "tensorrt-rtx"}
    assert "sm_89" in info.hardware
    assert backend.cost().build_seconds > 0
    assert (backend.cost().device_memory_peak or 0) > 0


def test_the_host_does_not_wait_inside_a_submission(backend: Backend) -> None:
    """Eight batches are enqueued with one copy in and one out, as captured graphs, before anybody waits."""
    for slot in range(8):
        backend.place(slot, int(_DIGITS.indices[slot]), _DIGITS.images[slot])
    _FAKE.reset()
    future = backend.submit([Segment(slot, 1, 0, _BATCH) for slot in range(8)])
    assert future.result().sum() == 8 * _BATCH
    copies = [len(_FAKE.work(name)) for name in ("cuMemcpyHtoDAsync", "cuMemcpyDtoHAsync", "cuMemsetD8Async")]
    assert copies == [8 + 1, 1, 1]  # the images, placed without a wait too, and the row map; counts, zeroed and read
    waits = [call.name for call in _FAKE.calls() if "Synchronize" in call.name]
    assert waits == ["cuEventSynchronize"]


def test_an_engine_that_cannot_be_captured_is_enqueued_batch_by_batch(plan: Plan, library: FakeLibrary) -> None:
    library.is_capturable = False
    with closing(_open(plan)) as backend:
        assert library.kernels.graphs == {}
        backend.place(0, 0, _DIGITS.images[0])
        votes = backend.submit([Segment(0, 1, 0, 100)]).result()
    assert int(votes[0].argmax()) == int(_DIGITS.labels[0])


def test_placed_images_are_not_reused_before_they_are_copied(backend: Backend) -> None:
    for index in range(12):
        backend.place(index % 2, index, _DIGITS.images[index])
    votes = backend.submit([Segment(0, 1, 0, 100), Segment(1, 1, 0, 100)]).result()
    assert [int(row.argmax()) for row in votes] == [int(_DIGITS.labels[10]), int(_DIGITS.labels[11])]


def test_an_engine_from_elsewhere_is_never_deserialised(plan: Plan, library: FakeLibrary, tmp_path: Path) -> None:
    """Each: 200 random flips of a byte, another machine's engine, and one made here under this one's name."""
    copy = read_plan(Path(shutil.copytree(plan.directory, tmp_path / "plan")))
    (path,) = (copy.directory / "cache").glob("*.engine")
    tag = path.with_name(path.name + ".tag")
    kept, kept_tag, random = path.read_bytes(), tag.read_text(), np.random.default_rng(6)
    for place, flip in zip(random.integers(len(kept), size=200), random.integers(1, 256, size=200), strict=True):
        path.write_bytes(kept[:place] + bytes([kept[place] ^ int(flip)]) + kept[place + 1 :])
        with pytest.raises(InputError, match="does not carry this machine's tag"):
            _open(copy)
    path.write_bytes(kept)
    tag.write_text("0" * 64 + "\n")
    with pytest.raises(InputError, match="does not carry this machine's tag"):
        _open(copy)
    tag.unlink()
    with pytest.raises(InputError, match="does not carry this machine's tag"):
        _open(copy)
    other = Path(os.environ["PURECERT_TEST_OTHER_ENGINE"])  # of this machine too, for another batch
    assert is_of_this_machine(other)
    shutil.copy(other, path)
    for kept_or_its_own in (kept_tag, other.with_name(other.name + ".tag").read_text()):
        tag.write_text(kept_or_its_own)
        with pytest.raises(InputError, match="does not carry this machine's tag"):
            _open(copy)
    assert library.deserialised == []


def test_memory_of_copies_is_kept_where_a_submission_fails(
    backend: Backend, library: FakeLibrary, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The copies before the failure wait in the queue: what they read must not be given to the next image."""

    def refused(graph: int, stream: int) -> None:
        raise RuntimeError("a CUDA graph cannot be launched")

    backend.place(0, 0, _DIGITS.images[0])
    with monkeypatch.context() as patch:
        patch.setattr(library.kernels, "launch_captured", refused)
        with pytest.raises(BackendError, match="cannot be launched"):
            backend.submit([Segment(0, 1, 0, 100)]).result()
    assert _FAKE.pending() > 0
    gc.collect()
    backend.place(1, 1, _DIGITS.images[1])
    votes = backend.submit([Segment(0, 1, 0, 100), Segment(1, 1, 0, 100)]).result()
    assert [int(row.argmax()) for row in votes] == [int(_DIGITS.labels[0]), int(_DIGITS.labels[1])]


def test_with_trust_such_an_engine_is_loaded_and_the_run_says_so(
    plan: Plan, library: FakeLibrary, tmp_path: Path
) -> None:
    copy = read_plan(Path(shutil.copytree(plan.directory, tmp_path / "plan")))
    (path,) = (copy.directory / "cache").glob("*.engine")
    path.with_name(path.name + ".tag").unlink()
    with closing(_open(copy, trust=True)) as backend:
        assert backend.info.trusted
    assert len(library.deserialised) == 1


def test_what_goes_wrong_on_the_device_ends_as_one_of_our_errors(plan: Plan, library: FakeLibrary) -> None:
    library.context_fails = "no kernel image is available"
    with pytest.raises(BackendError, match="tensorrt-rtx made no execution context: no kernel image"):
        _open(plan)
    library.context_fails = "Error Code 2: OutOfMemory (Requested size was 9000000000 bytes.)"
    with pytest.raises(
        OutOfMemoryError, match=r"no execution context: out of memory .*Requested size.*smaller --batch"
    ):
        _open(plan)
    library.context_fails = ""
    _FAKE.request_error("cuMemAlloc", CudaError.OUT_OF_MEMORY, calls=-1)
    with pytest.raises(OutOfMemoryError, match="smaller --batch"):
        _open(plan)
    _FAKE.reset()
    _FAKE.request_error("cuInit", CudaError.NO_DEVICE)
    with pytest.raises(BackendError, match="expected a GPU"):
        _open(plan)


def _gate(copy: Plan) -> tuple[Plan, EngineFile]:
    engine = open_engine(copy, _SIGMA, _BATCH, "tensorrt-rtx", any_gpu("sm_89"), None, trust=False)
    modules = {_SIGMA: fuse(load_model(demo_model_path()), _SIGMA)}
    data = load_dataset("digits:train[:20]")
    return gate_engines(copy, [engine], modules, data, 1000, _BATCH, "tensorrt-rtx"), engine


def test_the_votes_of_engines_are_gated_like_those_of_the_plan(
    plan: Plan, library: FakeLibrary, tmp_path: Path
) -> None:
    before = _FAKE.left("device"), _FAKE.left("page_locked")
    gated, _ = _gate(read_plan(Path(shutil.copytree(plan.directory, tmp_path / "plan"))))
    parity = {one.backend: one for one in gated.record.parity}
    assert parity.keys() == {"torch", "onnxruntime", "tensorrt-rtx"}
    assert parity["tensorrt-rtx"].executed_precision == "fp16"
    assert parity["tensorrt-rtx"].draws == 1000
    assert parity["tensorrt-rtx"].agreement > 0.99
    assert (_FAKE.left("device"), _FAKE.left("page_locked")) == before
    with closing(_open(gated)) as backend:
        info = backend.info
    assert _is_gated(gated, info)
    assert not _is_gated(gated, replace(info, graph="0" * 64))  # another engine of the same library
    assert not _is_gated(plan, info)


def _is_gated(plan: Plan, info: BackendInfo) -> bool:
    return make_record(plan, _DIGITS, _SPEC, info, seed=1, seed_given=True).gated


def test_engines_that_vote_otherwise_are_removed(plan: Plan, library: FakeLibrary, tmp_path: Path) -> None:
    copy = read_plan(Path(shutil.copytree(plan.directory, tmp_path / "plan")))
    library.answers_wrongly = True
    with pytest.raises(CheckError, match=r"the engines of tensorrt-rtx were removed, the plan in .* stays"):
        _gate(copy)
    assert read_plan(copy.directory).record == plan.record
    assert list((copy.directory / "cache").iterdir()) == []
