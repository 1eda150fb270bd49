"""Faults that the fake driver finds, as the real pycuda reports them; ``test_fake_driver.py`` runs these."""

import ctypes
import threading
from collections.abc import Iterator

import numpy as np
import pycuda.driver as cuda
import pytest

from support.fake_cuda.driver import CudaError, FakeDriver
from support.fake_cuda.pycuda_context import fresh_context, pinned

_BYTES = np.arange(200, dtype=np.uint8)


@pytest.fixture
def driver() -> Iterator[FakeDriver]:
    with fresh_context() as fake:
        yield fake


def test_page_locked_memory_freed_before_its_copy_is_a_fault(driver: FakeDriver) -> None:
    stream, memory = cuda.Stream(), cuda.mem_alloc(200)
    cuda.memcpy_htod_async(memory, pinned(_BYTES), stream)  # nothing holds the source any longer
    with pytest.raises(cuda.LogicError, match="illegal memory access"):
        stream.synchronize()
    assert len(driver.violations()) == 1
    assert "cuMemcpyHtoDAsync met freed memory" in driver.violations()[0]
    with pytest.raises(cuda.LogicError, match="illegal memory access"):
        cuda.mem_alloc(1)  # no call of this context works any more
    driver.reset()


def test_device_memory_freed_before_its_work_is_a_fault(driver: FakeDriver) -> None:
    stream, memory = cuda.Stream(), cuda.mem_alloc(200)
    cuda.memset_d8_async(memory, 0, 200, stream)
    memory.free()
    with pytest.raises(cuda.LogicError, match="illegal memory access"):
        cuda.Context.synchronize()
    assert "cuMemsetD8Async met freed memory" in driver.violations()[0]
    driver.reset()


@pytest.mark.parametrize(("offset", "size"), [(0, 201), (199, 2), (-1, 1), (200, 1)])
def test_nothing_is_copied_beyond_an_allocation(driver: FakeDriver, offset: int, size: int) -> None:
    stream, memory, host = cuda.Stream(), cuda.mem_alloc(200), pinned(np.zeros(size, np.uint8))
    for copy in (
        lambda address: cuda.memcpy_htod_async(address, host, stream),
        lambda address: cuda.memcpy_dtoh_async(host, address, stream),
        lambda address: cuda.memset_d8_async(address, 0, size, stream),
    ):
        with pytest.raises(cuda.LogicError, match="invalid argument"):
            copy(int(memory) + offset)
    assert driver.pending() == 0


def test_a_kernel_that_writes_past_an_allocation_is_found_when_it_is_freed(driver: FakeDriver) -> None:
    memory = cuda.mem_alloc(200)
    ctypes.memset(int(memory) + 200, 0, 1)
    memory.free()
    assert driver.violations() == ["written past the end of an allocation of 200 bytes"]


def test_what_is_not_freed_is_counted(driver: FakeDriver) -> None:
    before = driver.left("device"), driver.left("page_locked")
    memory, host = cuda.mem_alloc(300), cuda.pagelocked_empty(50, np.uint8)
    assert driver.left("device").count == before[0].count + 1
    assert driver.left("device").bytes == before[0].bytes + 300
    assert driver.left("page_locked").bytes == before[1].bytes + 50
    memory.free()
    del host
    assert (driver.left("device"), driver.left("page_locked")) == before


def test_the_device_runs_out_of_memory(driver: FakeDriver) -> None:
    free, total = cuda.mem_get_info()
    memory = cuda.mem_alloc(1000)
    assert cuda.mem_get_info() == (free - 1000, total)
    with pytest.raises(cuda.MemoryError, match="out of memory"):
        cuda.mem_alloc(total)
    memory.free()


def test_an_error_comes_at_the_call_that_was_named(driver: FakeDriver) -> None:
    driver.request_error("cuMemHostAlloc", CudaError.OUT_OF_MEMORY, first=2)
    cuda.pagelocked_empty(4, np.uint8)
    with pytest.raises(cuda.MemoryError, match="cuMemHostAlloc failed: out of memory"):
        cuda.pagelocked_empty(4, np.uint8)
    cuda.pagelocked_empty(4, np.uint8)
    assert [call.result for call in driver.calls("cuMemHostAlloc")] == [0, CudaError.OUT_OF_MEMORY, 0]


def test_a_fault_while_waiting_ends_the_context(driver: FakeDriver) -> None:
    stream, event = cuda.Stream(), cuda.Event()
    event.record(stream)
    driver.request_error("cuEventSynchronize", CudaError.ILLEGAL_ADDRESS)
    for _ in range(2):
        with pytest.raises(cuda.LogicError, match="cuEventSynchronize failed: an illegal memory access"):
            event.synchronize()
    driver.reset()


def test_no_device_is_what_init_says(driver: FakeDriver) -> None:
    driver.request_error("cuInit", CudaError.NO_DEVICE)
    with pytest.raises(cuda.RuntimeError, match="cuInit failed: no CUDA-capable device is detected"):
        cuda.init()


def test_a_thread_without_a_context_is_refused(driver: FakeDriver) -> None:
    event = cuda.Event()
    refused: list[Exception] = []

    def wait() -> None:
        try:
            event.synchronize()
        except cuda.LogicError as error:
            refused.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    thread.join()
    assert "invalid device context" in str(refused[0])


def test_work_that_raises_fails_the_stream(driver: FakeDriver) -> None:
    stream = cuda.Stream()

    def fail() -> None:
        raise ValueError("a kernel's fault")

    driver.enqueue(stream.handle, fail)
    with pytest.raises(cuda.LaunchError, match="unspecified launch failure"):
        stream.synchronize()
    assert [str(error) for error in driver.failures] == ["a kernel's fault"]
    driver.reset()
