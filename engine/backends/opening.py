"""Opening a backend by name: its graph, its noise, and the row check before anything is counted."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

from purecert.engine.backends.base import Backend, BackendInfo, BackendOptions
from purecert.engine.backends.graph import HostGraph, Opened
from purecert.engine.backends.registry import backend_kind
from purecert.engine.backends.row_check import check_rows
from purecert.engine.errors import BackendError, InputError, PurecertError
from purecert.engine.noise.inputs import noise_of_inputs
from purecert.engine.plans.plan import Plan

_SEED_RANGE = 2**64


def open_backend(
    plan: Plan, sigma: float, seed: int, options: BackendOptions, images: NDArray[np.uint8], indices: NDArray[np.int64]
) -> Backend:
    """Return a backend that passed its row check on noisy rows of ``images`` [n, C, H, W].

    Raises:
        InputError: There is no such backend, or the plan does not fit ``sigma`` or the images.
        BackendError: The backend is not installed, or cannot run the plan.
        CheckError: Rows influence each other.
    """
    kind = backend_kind(options.name)
    noise = noise_of_inputs(len(plan.record.inputs), sigma, seed, options.threads)
    try:
        opened = kind.opener()(plan, sigma, noise, options)
    except ModuleNotFoundError as error:
        raise BackendError(
            f"backend {options.name} needs the package {error.name}, which is not installed; "
            f"run: pip install 'purecert[{kind.extra}]'"
        ) from error
    return checked_backend(opened, plan, sigma, seed, options, images, indices)


def checked_backend(
    opened: Opened,
    plan: Plan,
    sigma: float,
    seed: int,
    options: BackendOptions,
    images: NDArray[np.uint8],
    indices: NDArray[np.int64],
) -> Backend:
    """Return the backend of what was ``opened``, after its row check; as ``open_backend``."""
    graph = opened.graph
    with _closed_on_failure(graph):
        expected, found = graph.inputs[0].shape[1:], images.shape[1:]
        if expected != found:
            raise InputError(f"expected images of shape {expected} (the plan's), got {found}")
        rows = _probe_rows(plan, sigma, seed, options, images, indices)
        placement, probed = check_rows(graph, rows, plan.record.classes)
        return opened.backend(
            BackendInfo(
                name=options.name,
                executed_precision=graph.executed_precision,
                versions=graph.versions,
                graph=graph.digest,
                nodes=graph.nodes,
                trusted=options.trust,
                hardware=opened.hardware,
                threads=options.threads,
                batch=options.batch,
                placement=placement,
                probed=probed,
                probe_rows=len(rows[0]),
            )
        )


@contextmanager
def _closed_on_failure(graph: HostGraph) -> Iterator[None]:
    try:
        yield
    except PurecertError:
        graph.close()
        raise


def _probe_rows(
    plan: Plan, sigma: float, seed: int, options: BackendOptions, images: NDArray[np.uint8], indices: NDArray[np.int64]
) -> list[NDArray[np.generic]]:
    """Return real noisy rows for the row check, whole batches of them, drawn under another key than the run's."""
    count = -(-options.probe_rows // options.batch) * options.batch
    used = np.arange(count) % min(len(images), count)
    addresses = np.stack([used, indices[used], np.zeros_like(used), np.arange(count), np.ones_like(used)], axis=1)
    rows: list[NDArray[np.generic]] = []
    for noise, entry in zip(
        noise_of_inputs(len(plan.record.inputs), sigma, (seed + 1) % _SEED_RANGE, options.threads),
        plan.record.inputs,
        strict=True,
    ):
        rows.append(np.zeros((count, *entry.shape), np.dtype(entry.dtype)))
        noise.fill(rows[-1], addresses, images)
    return rows
