"""Our queue through the real pycuda on the fake driver; ``test_pycuda_queue.py`` runs these in their own process."""

import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from purecert.engine.backends.device.pycuda_queue import PycudaQueue
from purecert.engine.errors import BackendError, OutOfMemoryError
from support.fake_cuda.driver import CudaError, FakeDriver
from support.fake_cuda.kernels import StreamKernels

_FAKE = FakeDriver()


@pytest.fixture
def kernels() -> StreamKernels:
    return StreamKernels(_FAKE)


@pytest.fixture
def queue(kernels: StreamKernels) -> Iterator[PycudaQueue]:
    """Return a queue; nothing may be left of it when it is closed."""
    _FAKE.reset()
    before = _FAKE.left("device"), _FAKE.left("page_locked")
    queue = PycudaQueue(kernels)
    yield queue
    queue.close()
    assert _FAKE.violations() == []
    assert (_FAKE.left("device"), _FAKE.left("page_locked")) == before
    assert kernels.graphs == {}


def test_what_is_uploaded_comes_back(queue: PycudaQueue) -> None:
    values = np.arange(24, dtype=np.float16).reshape(2, 3, 4)
    array = queue.upload(values)
    assert (array.shape, array.dtype, array.nbytes, array.channels_last) == ((2, 3, 4), np.float16, 48, False)
    assert np.array_equal(queue.download(array), values)
    assert np.array_equal(queue.download(array.part(1, 1)), values[1:])
    with pytest.raises(ValueError, match="expected entries within 2"):
        array.part(1, 2)


def test_new_arrays_hold_zeros_and_parts_can_be_cleared(queue: PycudaQueue) -> None:
    array = queue.zeros((4, 3), np.int32)
    assert not queue.download(array).any()
    ones = queue.upload(np.ones((4, 3), np.int32))
    with queue.entered():
        queue.clear(ones.part(1, 2))
    assert queue.download(ones).sum(axis=1).tolist() == [3, 0, 0, 3]


def test_work_is_done_on_one_stream_that_is_not_the_default_one(queue: PycudaQueue) -> None:
    queue.download(queue.upload(np.ones(3, np.uint8)))
    streams = {call.arguments["stream"] for call in _FAKE.work() if "stream" in call.arguments}
    assert streams == {queue.handle}
    assert queue.handle != 0


def test_the_host_goes_on_until_it_waits(queue: PycudaQueue) -> None:
    source, target = queue.host_buffer((5,), np.uint8), queue.host_buffer((5,), np.uint8)
    array = queue.zeros((5,), np.uint8)
    source[:], target[:] = 7, 0
    with queue.entered():
        queue.write(array, source)
        queue.read(target, array)
    wait = queue.mark()
    assert _FAKE.pending() > 0
    assert not target.any()
    wait()
    assert target.tolist() == [7] * 5


def test_another_thread_can_wait(queue: PycudaQueue) -> None:
    """The device loop's thread does; events must not be left to it, which pycuda could not free there."""
    target, array = queue.host_buffer((5,), np.uint8), queue.upload(np.arange(5, dtype=np.uint8))
    failures: list[BaseException] = []

    def wait_there() -> None:
        try:
            for _ in range(3):
                with queue.entered():
                    queue.read(target, array)
                queue.mark()()
        except BaseException as error:
            failures.append(error)
            raise

    thread = threading.Thread(target=wait_there)
    thread.start()
    thread.join()
    assert failures == []
    assert target.tolist() == list(range(5))
    assert len(_FAKE.calls("cuEventCreate")) <= 2  # of the upload and of the thread: events are used again


def test_a_copy_of_another_size_is_refused(queue: PycudaQueue) -> None:
    array = queue.zeros((4,), np.float16)
    with queue.entered():
        with pytest.raises(ValueError, match="expected 8 contiguous bytes"):
            queue.write(array, queue.host_buffer((4,), np.float32))
        with pytest.raises(ValueError, match="expected 8 contiguous bytes"):
            queue.read(queue.host_buffer((8,), np.float16)[::2], array)


def test_work_is_captured_after_warming_up_and_repeated(queue: PycudaQueue, kernels: StreamKernels) -> None:
    calls: list[str] = []

    def enqueue() -> None:
        calls.append("enqueued")
        kernels.launch(queue.handle, lambda: calls.append("done"))

    repeat = queue.repeatable(enqueue)
    assert calls == ["enqueued"] * 3 + ["done"] * 3 + ["enqueued"]
    calls.clear()
    with queue.entered():
        repeat()
        repeat()
    queue.mark()()
    assert calls == ["done", "done"]


def test_a_capture_that_fails_leaves_the_stream_as_it_was(queue: PycudaQueue, kernels: StreamKernels) -> None:
    enqueued = []

    def enqueue() -> None:
        enqueued.append(1)
        if len(enqueued) == 4:
            raise RuntimeError("operation not permitted when stream is capturing")

    with pytest.raises(BackendError, match="not permitted"), queue.failures():
        queue.repeatable(enqueue)
    assert kernels.graphs == {}
    assert np.array_equal(queue.download(queue.upload(np.ones(3, np.int32))), np.ones(3))


def test_the_device_is_described(queue: PycudaQueue) -> None:
    assert queue.capability == "sm_90"
    assert queue.name in queue.hardware()
    assert "sm_90" in queue.hardware()
    assert queue.versions()["cuda-driver"] == "13.0"
    queue.zeros((2**20,), np.uint8)
    assert queue.memory_peak() >= 2**20


def test_too_little_memory_is_said(queue: PycudaQueue) -> None:
    _FAKE.set_memory(2**20)
    with pytest.raises(OutOfMemoryError, match="smaller --batch"), queue.failures():
        queue.zeros((2**21,), np.uint8)


@pytest.mark.parametrize("name", ["cuDeviceGet", "cuDevicePrimaryCtxRetain", "cuStreamCreate", "cuMemGetInfo"])
def test_a_gpu_that_others_hold_is_said(name: str, kernels: StreamKernels) -> None:
    for error, expected in ((CudaError.OUT_OF_MEMORY, OutOfMemoryError), (CudaError.INVALID_VALUE, BackendError)):
        _FAKE.reset()
        _FAKE.request_error(name, error)
        with pytest.raises(expected):
            PycudaQueue(kernels)
    _FAKE.reset()


@pytest.mark.parametrize(
    ("name", "error", "words"),
    [
        ("cuInit", CudaError.NO_DEVICE, "expected a GPU, but its driver says: .*no CUDA-capable device"),
        ("cuDeviceGetCount", CudaError.NO_DEVICE, "expected a GPU"),
    ],
)
def test_a_driver_without_a_gpu_is_said(name: str, error: CudaError, words: str, kernels: StreamKernels) -> None:
    _FAKE.reset()
    _FAKE.request_error(name, error)
    with pytest.raises(BackendError, match=words):
        PycudaQueue(kernels)
    _FAKE.reset()


def test_a_fault_on_the_device_is_raised_where_somebody_waits(queue: PycudaQueue) -> None:
    wait = queue.mark()
    _FAKE.request_error("cuEventSynchronize", CudaError.ILLEGAL_ADDRESS)
    with pytest.raises(BackendError, match=r"the GPU failed: .*illegal"), queue.failures():
        wait()
    _FAKE.reset()  # as nobody could on a GPU: so that closing frees what the other tests look for


def test_the_gpu_step_finds_the_cpus_noise_and_votes_in_what_is_launched_again(
    queue: PycudaQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[4] / "benchmarks"))
    from gpu.pycuda_check import check_capture

    packed, static = check_capture(queue, rows=13)
    assert (packed["placement"], packed["votes"], packed["batches"]) == ("packed", 13 + 14 + 15, 4)
    assert (static["placement"], static["votes"]) == ("static", 13 + 14 + 15)
