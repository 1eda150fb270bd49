"""The real pycuda on the fake driver, in a context of the calling thread; for files that ``cases.run_cases`` runs."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from support.fake_cuda.driver import FakeDriver

_FAKE = FakeDriver()

import pycuda.driver as cuda  # noqa: E402 - finds the driver that is loaded above


@contextmanager
def fresh_context() -> Iterator[FakeDriver]:
    """Yield the driver with nothing logged, while the device's primary context is this thread's."""
    cuda.init()
    context = cuda.Device(0).retain_primary_context()
    context.push()
    _FAKE.reset()
    try:
        yield _FAKE
    finally:
        _FAKE.reset()
        cuda.Context.pop()
        context.detach()


def pinned(values: ArrayLike) -> NDArray[Any]:
    """Return a copy of ``values`` in page-locked memory, which is freed with the array."""
    source = np.asarray(values)
    buffer: NDArray[Any] = cuda.pagelocked_empty(source.shape, source.dtype)
    buffer[:] = source
    return buffer
