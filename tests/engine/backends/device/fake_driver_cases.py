"""Copies, order and waiting of the real pycuda on the fake driver; ``test_fake_driver.py`` runs these."""

import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pycuda.driver as cuda
import pytest

from support.fake_cuda.driver import FakeDriver
from support.fake_cuda.kernels import StreamKernels
from support.fake_cuda.pycuda_context import fresh_context, pinned

_BYTES = np.arange(200, dtype=np.uint8)


@pytest.fixture
def driver() -> Iterator[FakeDriver]:
    with fresh_context() as fake:
        yield fake


def test_a_device_is_described(driver: FakeDriver) -> None:
    device = cuda.Device(0)
    assert cuda.Device.count() == 1
    assert "Fake" in device.name()
    assert device.compute_capability() == (9, 0)
    assert device.get_attribute(cuda.device_attribute.COMPUTE_CAPABILITY_MAJOR) == 9
    assert device.total_memory() == 2**30
    assert cuda.get_driver_version() == 13000
    with pytest.raises(cuda.LogicError, match="invalid device ordinal"):
        cuda.Device(1)


@pytest.mark.parametrize("is_eager", [False, True])
def test_bytes_come_back_as_they_were(driver: FakeDriver, is_eager: bool) -> None:
    driver.set_eager(is_eager)
    stream, memory, source, back = cuda.Stream(), cuda.mem_alloc(200), pinned(_BYTES), pinned(np.zeros(200, np.uint8))
    cuda.memcpy_htod_async(memory, source, stream)
    cuda.memset_d8_async(int(memory) + 100, 7, 50, stream)
    cuda.memcpy_dtoh_async(back, memory, stream)
    stream.synchronize()
    expected = _BYTES.copy()
    expected[100:150] = 7
    np.testing.assert_array_equal(back, expected)
    assert driver.violations() == []


def test_new_memory_of_the_device_is_not_zero(driver: FakeDriver) -> None:
    back = np.zeros(64, np.uint8)
    cuda.memcpy_dtoh(back, cuda.mem_alloc(64))
    assert (back != 0).all()


def test_nothing_is_done_before_somebody_waits(driver: FakeDriver) -> None:
    stream, memory, back = cuda.Stream(), cuda.mem_alloc(200), pinned(np.zeros(200, np.uint8))
    cuda.memset_d8_async(memory, 9, 200, stream)
    cuda.memcpy_dtoh_async(back, memory, stream)
    assert driver.pending() == 2
    assert not back.any()
    cuda.Context.synchronize()
    assert driver.pending() == 0
    assert (back == 9).all()


def test_an_event_lets_what_was_enqueued_after_it_wait(driver: FakeDriver) -> None:
    stream, back, memory = cuda.Stream(), pinned(np.zeros(4, np.uint8)), cuda.mem_alloc(4)
    event = cuda.Event(cuda.event_flags.BLOCKING_SYNC | cuda.event_flags.DISABLE_TIMING)
    cuda.memset_d8_async(memory, 1, 4, stream)
    cuda.memcpy_dtoh_async(back, memory, stream)
    event.record(stream)
    cuda.memset_d8_async(memory, 2, 4, stream)
    event.synchronize()
    assert back.tolist() == [1] * 4
    assert driver.pending() == 1
    assert event.query()
    stream.synchronize()


def test_polling_ends(driver: FakeDriver) -> None:
    stream, event, memory = cuda.Stream(), cuda.Event(), cuda.mem_alloc(4)
    cuda.memset_d8_async(memory, 1, 4, stream)
    event.record(stream)
    assert [event.query() for _ in range(3)] == [False, False, True]


def test_an_event_orders_two_streams(driver: FakeDriver) -> None:
    first, second, event, memory = cuda.Stream(), cuda.Stream(), cuda.Event(), cuda.mem_alloc(1)
    cuda.memset_d8_async(memory, 1, 1, first)
    event.record(first)
    second.wait_for_event(event)
    cuda.memset_d8_async(memory, 2, 1, second)
    second.synchronize()
    first.synchronize()
    assert [call.arguments["stream"] for call in driver.work("cuMemsetD8Async")] == [first.handle, second.handle]


def test_the_default_stream_waits_for_the_others(driver: FakeDriver) -> None:
    stream, memory, back = cuda.Stream(), cuda.mem_alloc(4), np.zeros(4, np.uint8)
    cuda.memset_d8_async(memory, 5, 4, stream)
    cuda.memcpy_dtoh(back, memory)
    assert back.tolist() == [5] * 4


def test_a_page_locked_source_is_read_when_the_copy_is_done(driver: FakeDriver) -> None:
    stream, memory, source, back = cuda.Stream(), cuda.mem_alloc(200), pinned(_BYTES), np.zeros(200, np.uint8)
    cuda.memcpy_htod_async(memory, source, stream)
    source[:] = 0  # too early
    cuda.memcpy_dtoh(back, memory)
    assert not back.any()


def test_a_pageable_source_is_read_at_once(driver: FakeDriver) -> None:
    stream, memory, source, back = cuda.Stream(), cuda.mem_alloc(200), _BYTES.copy(), np.zeros(200, np.uint8)
    cuda.memcpy_htod_async(memory, source, stream)
    source[:] = 0
    cuda.memcpy_dtoh(back, memory)
    np.testing.assert_array_equal(back, _BYTES)
    assert [call.arguments["pageable"] for call in driver.calls("cuMemcpyHtoDAsync")] == [1]


def test_work_is_done_in_the_streams_order_by_the_thread_that_waits(driver: FakeDriver) -> None:
    stream, memory, back = cuda.Stream(), cuda.mem_alloc(4), pinned(np.zeros(4, np.uint8))
    done: list[tuple[str, int]] = []
    cuda.memset_d8_async(memory, 3, 4, stream)
    driver.enqueue(stream.handle, lambda: done.append(("kernel", threading.get_ident())))
    cuda.memcpy_dtoh_async(back, memory, stream)
    assert done == []
    stream.synchronize()
    assert done == [("kernel", threading.get_ident())]
    assert [call.name for call in driver.work()] == ["cuMemsetD8Async", "fake_enqueue", "cuMemcpyDtoHAsync"]


def test_two_threads_may_wait_while_a_third_enqueues(driver: FakeDriver) -> None:
    """Work needs Python's lock; whoever holds it must never wait for the thread that does the work."""
    context = cuda.Context.get_device().retain_primary_context()
    memory, counts = cuda.mem_alloc(4), [0]
    stream = cuda.Stream()
    events = [cuda.Event() for _ in range(200)]

    def count() -> None:
        counts[0] += 1

    def wait(mine: list[Any]) -> None:
        context.push()
        for event in mine:
            event.synchronize()
        cuda.Context.pop()

    for event in events:
        driver.enqueue(stream.handle, count)
        event.record(stream)
    threads = [threading.Thread(target=wait, args=(events[start::2],)) for start in range(2)]
    for thread in threads:
        thread.start()
    for event in events:
        cuda.memset_d8_async(memory, 0, 4, stream)
        event.query()
        cuda.mem_get_info()
    for thread in threads:
        thread.join()
    stream.synchronize()
    assert counts == [200]
    assert driver.violations() == []
    context.detach()


def test_the_hosts_kernels_vote_in_the_streams_order(driver: FakeDriver) -> None:
    """Three rows of one segment with the labels 1, 1 and 0, counted after the labels have come."""
    kernels, stream, classes = StreamKernels(driver), cuda.Stream(), 2
    # The head says one piece; the piece begins at row 0 and has three (kernels/include/purecert/row_map.h).
    words = pinned(np.array([[1, *[0] * 7], [0, 3, *[0] * 6]], np.int32))
    labels, counts = pinned(np.array([1, 1, 0], np.int32)), pinned(np.zeros(classes + 2, np.int32))
    row_map, on_device, votes = (
        cuda.mem_alloc(words.nbytes),
        cuda.mem_alloc(labels.nbytes),
        cuda.mem_alloc(counts.nbytes),
    )
    cuda.memcpy_htod_async(row_map, words, stream)
    cuda.memset_d8_async(votes, 0, counts.nbytes, stream)
    cuda.memcpy_htod_async(on_device, labels, stream)
    kernels.begin_capture(stream.handle)
    kernels.count_votes(
        map=int(row_map), labels=int(on_device), rows=3, classes=classes, counts=int(votes), stream=stream.handle
    )
    graph = kernels.end_capture(stream.handle)
    kernels.launch_captured(graph, stream.handle)
    cuda.memcpy_dtoh_async(counts, votes, stream)
    stream.synchronize()
    kernels.free_captured(graph)
    assert kernels.graphs == {}
    assert counts.tolist() == [1, 2, 0, 0]
