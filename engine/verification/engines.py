"""Is the engine here the run's? Where it is, every vote must be reproduced; where not, nothing is verified."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from purecert.engine.backends.base import Backend, BackendInfo, BackendOptions
from purecert.engine.backends.opening import open_backend
from purecert.engine.backends.registry import backend_kind
from purecert.engine.backends.rows.row_check import are_coarse
from purecert.engine.backends.rows.row_layouts import row_count
from purecert.engine.backends.rows.row_probe import RowProbe
from purecert.engine.images.datasets import Dataset
from purecert.engine.noise.inputs import noise_of_inputs
from purecert.engine.plans.plan import Plan
from purecert.engine.records.run_record import RunRecord
from purecert.engine.verification.result import Difference

# What an engine is. ``trusted`` is not in it: who vouches for a file does not change what it computes.
_IDENTITY = ("name", "versions", "graph", "hardware", "threads", "batch")
# What an engine finds out about itself when it opens, so that the same engine finds the same.
FOUND = ("executed_precision", "nodes", "placement", "probed", "probe_rows")


def options_of(record: RunRecord, *, threads: int, trust: bool) -> BackendOptions:
    """Return what to ask a backend for so that it is the run's, as far as one can ask; its rows are checked anew."""
    backend = record.backend
    return BackendOptions(
        name=backend.name,
        batch=backend.batch,
        threads=threads,
        probe_rows=backend.probe_rows,
        trust=trust,
        repeat_check=True,
    )


def open_again(plan: Plan, dataset: Dataset, record: RunRecord, seed: int, options: BackendOptions) -> Backend:
    """Return the backend of ``options`` after a row check of as many permutations as the run's own had.

    Raises:
        BackendError: The backend is missing here, or fails.
        CheckError: Rows influence each other, or their place in the batch does.
    """
    return open_backend(
        *(plan, record.spec.sigma, seed, options, dataset.images, dataset.indices),
        expected_rows=record.spec.expected_rows * len(dataset),
    )


def engine_differences(stored: BackendInfo, here: BackendInfo) -> tuple[Difference, ...]:
    """Return in what the engine ``here`` is another than the ``stored`` one; empty where it is the run's own."""
    if not any(_differing(stored, here, _IDENTITY)):
        return placement_differences(stored, here)
    return tuple(_differing(stored, here, (*_IDENTITY, *FOUND)))


def placement_differences(stored: BackendInfo, here: BackendInfo) -> tuple[Difference, ...]:
    """Return that rows turn out to depend on their place where the run says that none does; else nothing.

    The check sees a sample of rows, not always the run's own: a dependence that is rare is found on some and not on
    others, so this is no proof of a forgery. A run that took more care than was needed is right either way.
    """
    if (stored.placement, here.placement) != ("row_invariant", "static"):
        return ()
    return tuple(_differing(stored, here, ("placement",)))


def found_problems(record: RunRecord, plan: Plan, here: BackendInfo) -> list[str]:
    """Return what the record says of its engine that cannot be, where that can be told.

    On the run's own engine everything that an engine finds out about itself must be found again, except the placement
    (``placement_differences``). A backend that runs the plan's own graph here ran it there.
    """
    stored = record.backend
    problems = [
        f"run.json states backend.{each.field} = {each.run}, the same engine opened here makes it {each.here}"
        for each in _differing(stored, here, FOUND)
        if each.field != "placement" and not any(_differing(stored, here, _IDENTITY))
    ]
    if here.graph == plan.graph(record.spec.sigma).sha256 != stored.graph:
        problems.append(f"run.json states backend.graph = {stored.graph}, {here.name} runs the plan's own {here.graph}")
    return problems


def threads_are_one_engine(plan: Plan, record: RunRecord, dataset: Dataset, options: BackendOptions) -> bool:
    """Return whether logits are bit-equal on the rows of the row check with the run's threads and ``options``'.

    Where the backend gives no logits, or such as would hide it, it is not known, so they are two engines.

    Raises:
        BackendError: The backend cannot be opened, or fails.
    """
    one, other = (
        _logits(plan, record, dataset, replace(options, threads=threads))
        for threads in (record.backend.threads, options.threads)
    )
    if one is None or other is None or are_coarse(one):
        return False
    return one.dtype == other.dtype and one.tobytes() == other.tobytes()


def _differing(stored: BackendInfo, here: BackendInfo, names: tuple[str, ...]) -> Iterator[Difference]:
    for name in names:
        run, now = getattr(stored, name), getattr(here, name)
        if isinstance(run, dict) and isinstance(now, dict):  # each package by itself
            for key in sorted(run.keys() | now.keys()):
                if run.get(key) != now.get(key):
                    yield Difference(field=f"{name}.{key}", run=_text(run.get(key)), here=_text(now.get(key)))
        elif run != now:
            yield Difference(field=name, run=_text(run), here=_text(now))


def _text(value: object) -> str:
    return "none" if value is None else str(value)


def _logits(plan: Plan, record: RunRecord, dataset: Dataset, options: BackendOptions) -> NDArray[np.generic] | None:
    """Return the logits of the rows of the run's row check, batch after batch; None where the backend gives none."""
    sigma, inputs = record.spec.sigma, plan.record.inputs
    opener = backend_kind(options.name).opener()
    graph = opener(plan, sigma, noise_of_inputs(len(inputs), sigma, record.seed, options.threads), options).graph
    probe = RowProbe(
        plan=plan,
        sigma=sigma,
        images=dataset.images,
        indices=dataset.indices,
        batch=options.batch,
        threads=options.threads,
    )
    rows, found = probe.rows(row_count(options.probe_rows, options.batch), record.seed), []
    with closing(graph):
        for first in range(0, len(rows[0]), options.batch):
            for array, buffer in zip(rows, graph.inputs, strict=True):
                np.copyto(buffer, array[first : first + options.batch], casting="no")
            graph.labels()
            if (logits := graph.logits()) is None:
                return None
            found.append(logits.copy())
    return np.concatenate(found)
