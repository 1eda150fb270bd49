"""``--backend auto``: a short trial on this machine picks backend, batch and threads for a plan.

Those on the host are tried that open in seconds: what compiles for minutes, or runs on a GPU, is chosen by its name.
The plan says in which precision. What was picked is in run.json like any choice, and a resumed run keeps it.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from time import perf_counter
from typing import final

import numpy as np
from numpy.typing import NDArray

from purecert.engine.backends.base import BackendInfo, BackendOptions
from purecert.engine.backends.graph import HostGraph, fresh_rows
from purecert.engine.errors import BackendError
from purecert.engine.hardware import available_threads
from purecert.engine.plans.plan import Plan

AUTO = "auto"
_BATCHES = (32, 64, 128, 256, 512)
_WINDOW = 0.4  # seconds of a measurement, of which each has several and the fastest counts
_LONGEST_BATCH = 1.5  # seconds: a larger batch would fill the trial by itself
_FINALISTS = 3  # measured again, since a machine's pace drifts
_log = logging.getLogger("purecert")

OpenGraph = Callable[[Plan, float, int, int], HostGraph]  # plan, sigma, batch, threads


def _onnxruntime() -> OpenGraph:
    from purecert.engine.backends.onnxruntime.cpu import OrtGraph

    return OrtGraph


def _openvino() -> OpenGraph:
    from purecert.engine.backends.openvino.cpu import OpenVinoGraph

    is_checked = False

    def open_graph(plan: Plan, sigma: float, batch: int, threads: int) -> HostGraph:
        nonlocal is_checked
        graph = OpenVinoGraph(plan, sigma, batch, threads)
        if not is_checked and not graph.is_finite_inside:  # what it cannot run is found out now, and once
            graph.check_nan()
            is_checked = True
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
    trial = Trial(plan, sigma, images)
    results, reasons = trial.all_rates(min(asked.threads, available_threads()))
    if not results:
        raise BackendError(f"no backend runs this plan here ({'; '.join(reasons)})")
    best = trial.fastest(results)
    others = {one.name: one for one in sorted(results, key=lambda one: one.rate) if one.name != best.name}
    beside = "".join(f"; {each}" for each in (*others.values(), *reasons))
    _log.warning("picked %s%s", best, beside)
    return replace(asked, name=best.name, batch=best.batch, threads=best.threads)


@final
class Trial:
    """The rates of one plan's graph of one sigma on this machine, each of a graph that is opened for it."""

    def __init__(self, plan: Plan, sigma: float, images: NDArray[np.uint8], windows: int = 3) -> None:
        """Prepare; a rate is that of the fastest of ``windows``, on noisy rows of the first ``images`` [n, C, H, W]."""
        self._plan, self._sigma, self._images, self._windows = plan, sigma, images, windows
        self._openers: dict[str, OpenGraph] = {}

    def all_rates(self, threads: int) -> tuple[list[Tried], list[str]]:
        """Return the rates of every backend on up to ``threads`` threads, and why some have none."""
        results: list[Tried] = []
        reasons: list[str] = []
        for name, opener in _TRIED.items():
            try:
                self._openers[name] = opener()
                results += self._of_backend(name, threads)
            except (BackendError, ImportError) as error:
                reasons.append(f"{name}: {error}")
        return results, reasons

    def fastest(self, results: Sequence[Tried]) -> Tried:
        """Return the fastest of the fastest of ``results``, each measured twice again, in turn."""
        finalists = sorted(self.in_own_precision(results), key=lambda one: one.rate, reverse=True)[:_FINALISTS]
        again = [
            replace(one, rate=max(one.rate, self._rate(one.name, one.batch, one.threads).rate))
            for one in (*finalists, *finalists)
        ]
        return max(again, key=lambda one: one.rate)

    def in_own_precision(self, results: Sequence[Tried]) -> Sequence[Tried]:
        """Return those that compute in the plan's precision, which the export gate measured; all where none does."""
        return [one for one in results if one.precision == self._plan.record.precision] or results

    def _of_backend(self, name: str, threads: int) -> Iterator[Tried]:
        """Yield the rates of one backend: at every batch on all threads, then the best batch on half of them."""
        found = []
        for batch in _BATCHES:
            found.append(self._rate(name, batch, threads))
            yield found[-1]
            if batch / found[-1].rate > _LONGEST_BATCH:
                break
        if threads >= 4:  # of which half may be the second of a core
            best = max(found, key=lambda one: one.rate)
            yield self._rate(name, best.batch, threads // 2)

    def _rate(self, name: str, batch: int, threads: int) -> Tried:
        with closing(self._openers[name](self._plan, self._sigma, batch, threads)) as graph:
            places = np.arange(batch) % len(self._images)
            rows = fresh_rows(self._plan.record.inputs, self._sigma, self._images[places], places, threads)
            for buffer, values in zip(graph.inputs, rows, strict=True):
                np.copyto(buffer, values, casting="no")
            graph.labels()  # the first call also prepares what is prepared once
            rate = batch / _seconds(graph, self._windows)
            return Tried(name=name, batch=batch, threads=threads, precision=graph.executed_precision, rate=rate)


def _seconds(graph: HostGraph, windows: int) -> float:
    """Return the seconds of a batch in the fastest of ``windows`` windows."""
    best = float("inf")
    for _ in range(windows):
        began, count = perf_counter(), 0
        while count == 0 or perf_counter() - began < _WINDOW:
            graph.labels()
            count += 1
        best = min(best, (perf_counter() - began) / count)
    return best
