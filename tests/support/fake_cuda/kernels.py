"""The host's build of the batch kernels, in the order of a fake stream: it stands in for ``purecert._cuda``."""

from collections.abc import Callable
from functools import partial
from typing import Any

import purecert._kernels as host
from support.fake_cuda.driver import FakeDriver


class StreamKernels:
    """The functions of ``purecert._cuda``; the memory that they are given is the fake driver's."""

    NOISE_CONTRACT = host.NOISE_CONTRACT

    def __init__(self, driver: FakeDriver) -> None:
        self._driver = driver
        self._captures: dict[int, list[Callable[[], None]]] = {}  # stream -> what was enqueued since its capture began
        self.graphs: dict[int, list[Callable[[], None]]] = {}  # those that were not freed

    def launch(self, stream: int, function: Callable[[], None]) -> None:
        """Enqueue ``function``, or record it where a capture has begun, as everything on a stream is."""
        if stream in self._captures:
            self._captures[stream].append(function)
        else:
            self._driver.enqueue(stream, function)

    def fill_batch(self, *, stream: int, **arguments: Any) -> None:
        self.launch(stream, partial(host.fill_batch, stream=0, **arguments))

    def count_votes(self, *, stream: int, **arguments: Any) -> None:
        self.launch(stream, partial(host.count_votes, stream=0, **arguments))

    def begin_capture(self, stream: int) -> None:
        if stream in self._captures:
            raise RuntimeError("expected a stream that is not captured")
        self._captures[stream] = []

    def end_capture(self, stream: int) -> int:
        graph = len(self.graphs) + 1
        while graph in self.graphs:
            graph += 1
        self.graphs[graph] = self._captures.pop(stream)
        return graph

    def launch_captured(self, graph: int, stream: int) -> None:
        for function in self.graphs[graph]:
            self.launch(stream, function)

    def free_captured(self, graph: int) -> None:
        del self.graphs[graph]
