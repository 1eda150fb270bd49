"""A fused graph that runs on the host: the part of a host backend that differs between runtimes."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
from jaxtyping import Float, Int32
from numpy.typing import NDArray

from purecert.engine.errors import BackendError, OutOfMemoryError, PurecertError
from purecert.engine.plans.plan import GraphInput


class LoadedGraph(ABC):
    """What a graph says of itself, wherever it runs."""

    @property
    @abstractmethod
    def digest(self) -> str:
        """Return the SHA-256 of the file that runs."""

    @property
    @abstractmethod
    def executed_precision(self) -> str:
        """Return the precision that rows are really computed in."""

    @property
    @abstractmethod
    def versions(self) -> dict[str, str]:
        """Return package -> version of what computes."""

    @property
    def nodes(self) -> dict[str, int]:
        """Return how many of the graph's nodes each provider of the runtime runs; empty where it has none."""
        return {}

    @abstractmethod
    def close(self) -> None:
        """Free the runtime's memory."""


class HostGraph(LoadedGraph):
    """A graph opened at one batch size, with host buffers for its inputs."""

    @property
    @abstractmethod
    def inputs(self) -> Sequence[NDArray[np.generic]]:
        """Return the input buffers, [batch, ...] each, in the plan's order; ``labels`` reads them in place."""

    @abstractmethod
    def labels(self) -> Int32[np.ndarray, " batch"]:
        """Run the graph on the input buffers and return one label a row; the next call may overwrite it."""

    @abstractmethod
    def logits(self) -> Float[np.ndarray, "batch classes"] | None:
        """Run a probe of the graph and return its logits, or None where the graph names none."""


def batch_failure(runtime: str, error: Exception) -> PurecertError:
    """Return what to raise where ``runtime`` failed on a batch; the runtimes tell of memory in words only."""
    return device_failure(runtime, error, " on a batch")


def device_failure(device: str, error: Exception, where: str = "") -> PurecertError:
    """Return what to raise where ``device`` failed at whatever it was told."""
    if is_out_of_memory(error):
        return OutOfMemoryError(f"{device} ran out of memory{where}; try a smaller --batch: {error}")
    return BackendError(f"{device} failed{where}: {error}")


def is_out_of_memory(error: Exception) -> bool:
    """Whether memory ran out, as far as the words of a runtime tell."""
    words = f"{type(error).__name__} {error}".lower()
    return any(sign in words for sign in ("memoryerror", "alloc", "out of memory"))


@contextmanager
def pytorch_failures() -> Iterator[None]:
    """Raise what PyTorch says of a batch or a device, which it does in a RuntimeError, as ``batch_failure``."""
    try:
        yield
    except RuntimeError as error:
        raise batch_failure("PyTorch", error) from error


def input_buffers(inputs: Sequence[GraphInput], batch: int) -> list[NDArray[np.generic]]:
    """Return zeroed arrays [batch, ...] for the graph's inputs, in their order."""
    return [np.zeros((batch, *graph_input.shape), np.dtype(graph_input.dtype)) for graph_input in inputs]
