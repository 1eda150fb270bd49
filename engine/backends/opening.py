"""Opening a backend by name: its graph, its noise, and the row check before anything is counted."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from purecert.engine.backends.base import Backend, BackendInfo, BackendOptions
from purecert.engine.backends.graph import InterruptibleGraph, Opened
from purecert.engine.backends.registry import BACKENDS, backend_kind
from purecert.engine.backends.rows.row_check import check_images, check_rows, images_to_check, permutations_for
from purecert.engine.backends.rows.row_check_cache import RowCheckCache
from purecert.engine.backends.rows.row_layouts import row_count
from purecert.engine.backends.rows.row_probe import RowProbe
from purecert.engine.errors import BackendError, InputError, PurecertError, one_line
from purecert.engine.noise.inputs import noise_of_inputs
from purecert.engine.plans.plan import Plan

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
    keeps_check: bool = False,
) -> Backend:
    """Return a backend that passed its row check on noisy rows of ``images`` [n, C, H, W].

    The check takes at least three permutations, and more where ``expected_rows``, those that will be drawn, are many.
    ``keeps_check`` puts its result into the plan's cache. A graph could know rows of a seed that was chosen, so set it
    for a random ``seed`` only.

    Raises:
        InputError: There is no such backend, or the plan does not fit ``sigma`` or the images.
        BackendError: The backend is not installed, or cannot run the plan or its precision.
        CheckError: Rows influence each other, or their place in the batch does.
    """
    kind = backend_kind(options.name)
    if (precision := plan.record.precision) not in kind.precisions:
        able = [name for name, other in BACKENDS.items() if precision in other.precisions]
        raise BackendError(f"backend {options.name} runs no plan in {precision}; choose {' or '.join(able)}")
    noise = noise_of_inputs(len(plan.record.inputs), sigma, seed, options.threads)
    try:
        opened = kind.opener()(plan, sigma, noise, options)
    except ModuleNotFoundError as error:
        raise BackendError(
            f"backend {options.name} needs the package {error.name}, which is not installed; "
            f"run: pip install 'purecert[{kind.extra}]'"
        ) from error
    except ImportError as error:  # a library that the package needs is missing, or is of another version
        raise BackendError(
            f"backend {options.name}: what it needs is installed, but cannot be imported ({one_line(error)}); "
            f"see engine-doctor --backend {options.name}"
        ) from error
    given = (opened, plan, sigma, seed, options, images, indices)
    return checked_backend(*given, expected_rows=expected_rows, keeps_check=keeps_check)


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
    keeps_check: bool = False,
) -> Backend:
    """Return the backend of what was ``opened``, after its row check; as ``open_backend``."""
    graph = InterruptibleGraph(opened.graph)
    with _closed_on_failure(graph):
        expected, found = graph.inputs[0].shape[1:], images.shape[1:]
        if expected != found:
            raise InputError(f"expected images of shape {expected} (the plan's), got {found}")
        rows = row_count(options.probe_rows, options.batch)
        unchecked = _unchecked_info(opened, options, rows)
        has_logits = plan.record.logits is not None
        permutations = permutations_for(expected_rows, rows, has_logits=has_logits)
        checked = images_to_check(expected_rows, len(images), options.batch, has_logits=has_logits)
        cache = RowCheckCache(plan, sigma, unchecked, images, (permutations, checked))
        known = None if options.repeat_check else cache.read()
        result = known
        if result is None:
            probe = RowProbe(
                plan=plan, sigma=sigma, images=images, indices=indices, batch=options.batch, threads=options.threads
            )
            result = check_rows(graph, probe.rows(rows, seed), plan.record.classes, permutations)
            check_images(graph, probe.rows_of_images(checked), checked)
            if keeps_check:
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
def _closed_on_failure(graph: InterruptibleGraph) -> Iterator[None]:
    try:
        yield
    except (PurecertError, KeyboardInterrupt):
        graph.close()
        raise
    graph.release()
