"""A fused graph in a runtime: the part of a backend that differs between runtimes."""

import secrets
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
from jaxtyping import Float, Int32, Int64, UInt8
from numpy.typing import NDArray

from purecert.engine.backends.base import Backend, BackendInfo
from purecert.engine.errors import InputError
from purecert.engine.interruptible import Calls
from purecert.engine.noise.contract import SELECT
from purecert.engine.noise.inputs import InputNoise, noise_of_inputs, row_addresses
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
        """Return the logits of the rows that ``labels`` was last run on, or None where the graph names none.

        A runtime that gives both at once has them already; others run a probe of the graph.
        """


@final
class InterruptibleGraph(HostGraph):
    """Another graph whose batches Ctrl-C does not wait for."""

    def __init__(self, graph: HostGraph) -> None:
        self._graph, self._calls = graph, Calls()

    @property
    def inputs(self) -> Sequence[NDArray[np.generic]]:
        return self._graph.inputs

    def labels(self) -> Int32[np.ndarray, " batch"]:
        return self._calls.run(self._graph.labels)

    def logits(self) -> Float[np.ndarray, "batch classes"] | None:
        return self._calls.run(self._graph.logits)

    @property
    def digest(self) -> str:
        return self._graph.digest

    @property
    def executed_precision(self) -> str:
        return self._graph.executed_precision

    @property
    def versions(self) -> dict[str, str]:
        return self._graph.versions

    @property
    def nodes(self) -> dict[str, int]:
        return self._graph.nodes

    def release(self) -> None:
        """End the thread, and leave the graph open."""
        self._calls.end(lambda: None)

    def close(self) -> None:
        """Close the graph; where a batch is under way, when that is done, and without waiting for it."""
        self._calls.end(self._graph.close)


@dataclass(frozen=True, kw_only=True, slots=True)
class Opened:
    """A graph that is loaded but not yet checked, and how to make a backend of it."""

    graph: HostGraph
    hardware: str
    backend: Callable[[BackendInfo], Backend]


def filled_inputs(
    inputs: Sequence[GraphInput],
    noise: Sequence[InputNoise],
    addresses: Int64[np.ndarray, "rows 5"],
    images: UInt8[np.ndarray, "images channels height width"],
) -> list[NDArray[np.generic]]:
    """Return the graph's inputs [rows, ...], in their order, with the noise of each row's address."""
    rows = input_buffers(inputs, len(addresses))
    for source, out in zip(noise, rows, strict=True):
        source.fill(out, addresses, images)
    return rows


def fresh_rows(
    inputs: Sequence[GraphInput],
    sigma: float,
    images: UInt8[np.ndarray, "rows channels height width"],
    indices: Int64[np.ndarray, " rows"],
    threads: int,
) -> list[NDArray[np.generic]]:
    """Return the graph's inputs [rows, ...] with a row of each of ``images``, under noise of a seed of the system's.

    ``indices`` are those of the images in their data set.
    """
    numbers = np.arange(len(images))
    noise = noise_of_inputs(len(inputs), sigma, secrets.randbits(64), threads)
    return filled_inputs(inputs, noise, row_addresses(numbers, indices, SELECT, numbers), images)


def checked_logits(logits: NDArray[np.generic]) -> NDArray[np.generic]:
    """Return what a runtime gave as the plan's logits.

    Raises:
        InputError: It is no array of floats [batch, classes].
    """
    if logits.ndim != 2 or not np.issubdtype(logits.dtype, np.floating):
        found = f"{logits.dtype} {list(logits.shape)}"
        raise InputError(f"expected the plan's logits as floats [batch, classes], found {found}; export it again")
    return logits


def input_buffers(inputs: Sequence[GraphInput], batch: int) -> list[NDArray[np.generic]]:
    """Return zeroed arrays [batch, ...] for the graph's inputs, in their order."""
    return [np.zeros((batch, *graph_input.shape), np.dtype(graph_input.dtype)) for graph_input in inputs]
