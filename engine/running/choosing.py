"""``--backend auto``: a short trial on this machine picks backend, batch and threads for a plan.

Those on the host are tried that open in seconds: what compiles for minutes, or runs on a GPU, is chosen by its name.
The plan says in which precision. What was picked is in run.json like any choice, and a resumed run keeps it.
"""

import logging
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from purecert.engine.backends.base import BackendInfo, BackendOptions
from purecert.engine.backends.graph import HostGraph, filled_inputs
from purecert.engine.errors import BackendError
from purecert.engine.hardware import available_threads
from purecert.engine.noise.contract import SELECT
from purecert.engine.noise.inputs import noise_of_inputs, row_addresses
from purecert.engine.plans.plan import Plan

AUTO = "auto"
_BATCHES = (32, 64, 128, 256, 512)
_WINDOW = 0.4  # seconds of a measurement, of which each has several and the fastest counts
_WINDOWS = 3
_LONGEST_BATCH = 1.5  # seconds: a larger batch would fill the trial by itself
_FINALISTS = 3  # measured again, since a machine's pace drifts
_log = logging.getLogger("purecert")

OpenGraph = Callable[[Plan, float, int, int], HostGraph]  # plan, sigma, batch, threads


def _onnxruntime() -> OpenGraph:
    from purecert.engine.backends.onnxruntime.cpu import OrtGraph

    return OrtGraph


def _openvino() -> OpenGraph:
    from purecert.engine.backends.openvino.cpu import OpenVinoGraph

    tried: list[object] = []

    def open_graph(plan: Plan, sigma: float, batch: int, threads: int) -> HostGraph:
        graph = OpenVinoGraph(plan, sigma, batch, threads)
        if not tried and not graph.is_finite_inside:  # what it cannot run is found out now, and once
            tried.append(graph.check_nan())
        return graph

    return open_graph


_TRIED: dict[str, Callable[[], OpenGraph]] = {"onnxruntime": _onnxruntime, "openvino": _openvino}


@dataclass(frozen=True, kw_only=True, slots=True)
class Tried:
    """One way to run a plan, what it computes in, and its rate in rows a second."""

    name: str
    batch: int
    threads: int
    precision: str
    rate: float

    def __str__(self) -> str:
        rate = f"{self.rate:.0f} samples/s in {self.precision}"
        return f"{self.name} in batches of {self.batch} on {self.threads} threads: {rate}"


def chosen_backend(
    plan: Plan, sigma: float, images: NDArray[np.uint8], asked: BackendOptions, stored: BackendInfo | None
) -> BackendOptions:
    """Return ``asked``, with a backend, batch and threads where it leaves them to this machine.

    Args:
        plan: What will run.
        sigma: Noise std of its graph.
        images: [n, C, H, W], of whose noisy rows the first are tried.
        asked: Its threads are the most that may be used; its batch is not looked at.
        stored: What a run that is resumed was begun with, which is kept.

    Raises:
        BackendError: No backend that is tried runs the plan here; the message has each one's reason.
    """
    if asked.name != AUTO:
        return asked
    if stored is not None:
        return replace(asked, name=stored.name, batch=stored.batch, threads=stored.threads)
    _log.warning("trying %s on this machine, for about half a minute", " and ".join(_TRIED))
    results: list[Tried] = []
    reasons: list[str] = []
    for name, opener in _TRIED.items():
        try:
            results += _trials(plan, sigma, images, name, opener(), min(asked.threads, available_threads()))
        except (BackendError, ImportError) as error:
            reasons.append(f"{name}: {error}")
    if not results:
        raise BackendError(f"no backend runs this plan here ({'; '.join(reasons)})")
    best = _best(plan, sigma, images, results)
    others = {one.name: one for one in sorted(results, key=lambda one: one.rate) if one.name != best.name}
    beside = "".join(f"; {other}" for other in others.values()) + "".join(f"; {reason}" for reason in reasons)
    _log.warning("picked %s%s", best, beside)
    return replace(asked, name=best.name, batch=best.batch, threads=best.threads)


def _trials(
    plan: Plan, sigma: float, images: NDArray[np.uint8], name: str, open_graph: OpenGraph, threads: int
) -> Iterator[Tried]:
    """Yield the rates of one backend: at every batch on all threads, then the best batch on half of them."""
    found = []
    for batch in _BATCHES:
        found.append(_tried(plan, sigma, images, name, open_graph, batch, threads))
        yield found[-1]
        if batch / found[-1].rate > _LONGEST_BATCH:
            break
    if threads >= 4:  # of which half may be the second of a core
        best = max(found, key=lambda one: one.rate)
        yield _tried(plan, sigma, images, name, open_graph, best.batch, threads // 2)


def _best(plan: Plan, sigma: float, images: NDArray[np.uint8], results: Sequence[Tried]) -> Tried:
    """Return the fastest of the fastest, measured again one after the other.

    What computes in the plan's own precision goes first, whatever is faster: the export gate measured that.
    """
    own = [one for one in results if one.precision == plan.record.precision]
    finalists = sorted(own or results, key=lambda one: one.rate, reverse=True)[:_FINALISTS]
    again = [
        replace(one, rate=max(one.rate, _again(plan, sigma, images, one).rate)) for one in (*finalists, *finalists)
    ]
    return max(again, key=lambda one: one.rate)


def _again(plan: Plan, sigma: float, images: NDArray[np.uint8], one: Tried) -> Tried:
    return _tried(plan, sigma, images, one.name, _TRIED[one.name](), one.batch, one.threads)


def _tried(
    plan: Plan,
    sigma: float,
    images: NDArray[np.uint8],
    name: str,
    open_graph: OpenGraph,
    batch: int,
    threads: int,
) -> Tried:
    with _opened(open_graph, plan, sigma, batch, threads) as graph:
        for buffer, rows in zip(graph.inputs, _noisy_rows(plan, sigma, images, batch, threads), strict=True):
            np.copyto(buffer, rows, casting="no")
        graph.labels()  # the first call also prepares what is prepared once
        precision = graph.executed_precision
        return Tried(name=name, batch=batch, threads=threads, precision=precision, rate=batch / _seconds(graph))


@contextmanager
def _opened(open_graph: OpenGraph, plan: Plan, sigma: float, batch: int, threads: int) -> Iterator[HostGraph]:
    graph = open_graph(plan, sigma, batch, threads)
    try:
        yield graph
    finally:
        graph.close()


def _seconds(graph: HostGraph) -> float:
    """Return the seconds of a batch in the fastest of several windows."""
    best = float("inf")
    for _ in range(_WINDOWS):
        began, count = perf_counter(), 0
        while count == 0 or perf_counter() - began < _WINDOW:
            graph.labels()
            count += 1
        best = min(best, (perf_counter() - began) / count)
    return best


def _noisy_rows(
    plan: Plan, sigma: float, images: NDArray[np.uint8], batch: int, threads: int
) -> list[NDArray[np.generic]]:
    """Return rows of the first images, as a run draws them, under noise of another seed than any run's."""
    inputs = plan.record.inputs
    places = np.arange(batch) % len(images)
    noise = noise_of_inputs(len(inputs), sigma, secrets.randbits(64), threads)
    addresses = row_addresses(places, np.arange(len(images)), SELECT, np.arange(batch))
    return filled_inputs(inputs, noise, addresses, images)
