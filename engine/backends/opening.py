"""Opening a backend by name: its graph, its noise, and the row check before anything is counted."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from purecert.engine.backends.base import Backend, BackendInfo, BackendOptions
from purecert.engine.backends.graph import HostGraph, Opened
from purecert.engine.backends.registry import backend_kind
from purecert.engine.backends.row_check import check_rows, permutations_for
from purecert.engine.backends.row_check_cache import RowCheckCache
from purecert.engine.backends.row_layouts import probe_addresses, row_count
from purecert.engine.errors import BackendError, InputError, PurecertError
from purecert.engine.noise.inputs import noise_of_inputs
from purecert.engine.plans.plan import Plan

_SEED_RANGE = 2**64
_log = logging.getLogger("purecert")


def open_backend(
    plan: Plan,
    sigma: float,
    seed: int,
    options: BackendOptions,
    images: NDArray[np.uint8],
    indices: NDArray[np.int64],
    *,
    expected_rows: int = 0,
) -> Backend:
    """Return a backend that passed its row check on noisy rows of ``images`` [n, C, H, W].

    The check takes at least three permutations, and more where ``expected_rows``, those that will be drawn, are many.

    Raises:
        InputError: There is no such backend, or the plan does not fit ``sigma`` or the images.
        BackendError: The backend is not installed, or cannot run the plan.
        CheckError: Rows influence each other, or their place in the batch does.
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
    return checked_backend(opened, plan, sigma, seed, options, images, indices, expected_rows=expected_rows)


def checked_backend(
    opened: Opened,
    plan: Plan,
    sigma: float,
    seed: int,
    options: BackendOptions,
    images: NDArray[np.uint8],
    indices: NDArray[np.int64],
    *,
    expected_rows: int = 0,
) -> Backend:
    """Return the backend of what was ``opened``, after its row check; as ``open_backend``."""
    graph = opened.graph
    with _closed_on_failure(graph):
        expected, found = graph.inputs[0].shape[1:], images.shape[1:]
        if expected != found:
            raise InputError(f"expected images of shape {expected} (the plan's), got {found}")
        addresses = probe_addresses(row_count(options.probe_rows, options.batch), options.batch, indices)
        unchecked = _unchecked_info(opened, options, len(addresses))
        cache = RowCheckCache(plan, sigma, unchecked, images[: int(addresses[:, 0].max()) + 1])
        known = None if options.repeat_check else cache.read()
        result = known
        if result is None:
            rows = _probe_rows(plan, sigma, seed, options, images, addresses)
            has_logits = plan.record.logits is not None
            permutations = permutations_for(expected_rows, len(addresses), has_logits=has_logits)
            result = check_rows(graph, rows, plan.record.classes, permutations)
            cache.write(result)
        backend = opened.backend(replace(unchecked, placement=result.placement, probed=result.probed))
        if known is not None:
            backend.row_check = "cached"
            _log.info("row check: this machine's earlier result for these images (--repeat-check does it anew)")
        return backend


def _unchecked_info(opened: Opened, options: BackendOptions, probe_rows: int) -> BackendInfo:
    """Return what the backend is, with what its row check has yet to find at the least that it can be."""
    graph = opened.graph
    return BackendInfo(
        name=options.name,
        executed_precision=graph.executed_precision,
        versions=graph.versions,
        graph=graph.digest,
        nodes=graph.nodes,
        trusted=options.trust,
        hardware=opened.hardware,
        threads=options.threads,
        batch=options.batch,
        placement="static",
        probed="labels",
        probe_rows=probe_rows,
    )


@contextmanager
def _closed_on_failure(graph: HostGraph) -> Iterator[None]:
    try:
        yield
    except (PurecertError, KeyboardInterrupt):
        graph.close()
        raise


def _probe_rows(
    plan: Plan,
    sigma: float,
    seed: int,
    options: BackendOptions,
    images: NDArray[np.uint8],
    addresses: NDArray[np.int64],
) -> list[NDArray[np.generic]]:
    """Return real noisy rows for the row check, drawn under another key than the run's."""
    rows: list[NDArray[np.generic]] = []
    for noise, entry in zip(
        noise_of_inputs(len(plan.record.inputs), sigma, (seed + 1) % _SEED_RANGE, options.threads),
        plan.record.inputs,
        strict=True,
    ):
        rows.append(np.zeros((len(addresses), *entry.shape), np.dtype(entry.dtype)))
        noise.fill(rows[-1], addresses, images)
    return rows
