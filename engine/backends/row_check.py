"""The check that every row is classified by one function of its own pixels.

A certificate speaks of one classifier. Batched kernels may round a row differently at another place in the batch, or
(dynamic quantisation, batch statistics) let rows see each other. The first is harmless once every draw has a fixed
place; the second is refused.
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from purecert.engine.backends.base import Placement
from purecert.engine.backends.graph import HostGraph
from purecert.engine.errors import CheckError, InputError
from purecert.engine.noise.contract import HIGHEST_PIXEL

_PERMUTATIONS = 20
_LEAST_AGREEMENT = 0.99
_EXTREME_ROW = -1  # stands for a row of nothing but that

Rows = Sequence[NDArray[np.generic]]


def check_rows(graph: HostGraph, rows: Rows, classes: int) -> tuple[Placement, Literal["logits", "labels"]]:
    """Return where rows may be placed, and what was compared to find out.

    ``rows`` (one array per graph input, a whole number of batches long) are run in 20 permutations. Where every row's
    logits are bit-equal wherever it lies, placement is ``row_invariant``; else it is ``static``. So it is where only
    labels can be compared: rounding that depends on the place would hardly change one of them.

    Raises:
        InputError: What the plan names as logits is not what the labels are taken from.
        CheckError: A row's result depends on the rows beside it.
    """
    in_order = np.arange(len(rows[0]))
    _refuse_other_logits(graph, rows, classes)
    results = _run(graph, rows, in_order)
    probed: Literal["logits", "labels"] = "logits" if len(results) > 1 else "labels"
    _refuse_neighbours(graph, rows, results)
    if probed == "labels":
        return "static", probed
    generator = np.random.default_rng(0)  # which permutations are tried is no secret and needs no address
    for _ in range(_PERMUTATIONS):
        order = generator.permutation(in_order)
        if not _equal(_run(graph, rows, order), [result[order] for result in results]):
            return "static", probed
    return "row_invariant", probed


def _refuse_other_logits(graph: HostGraph, rows: Rows, classes: int) -> None:
    """Refuse a plan that names another tensor as its logits: the check would then compare something else."""
    for buffer, array in zip(graph.inputs, rows, strict=True):
        np.copyto(buffer, array[: len(buffer)], casting="no")
    labels, logits = graph.labels().copy(), graph.logits()
    if logits is None:
        return
    if logits.shape != (len(labels), classes):
        raise InputError(
            f"expected logits [{len(labels)}, {classes}] of floats in the plan's graph, "
            f"found {list(logits.shape)}; export the plan again"
        )
    finite = np.isfinite(logits).all(axis=1)
    # The probe is another session on the same graph: a near-tie may fall otherwise, more would be another tensor.
    agreement = np.mean(np.where(finite, np.nan_to_num(logits).argmax(axis=1), -1) == labels)
    if agreement < _LEAST_AGREEMENT:
        raise InputError("expected labels that are the largest of the plan's logits, found others; export it again")


def _refuse_neighbours(graph: HostGraph, rows: Rows, results: Rows) -> None:
    """Give each row other neighbours but the same place, and refuse if its result changes."""
    places = np.arange(len(rows[0]))
    # An odd shift takes every row of the other parity out of sight; extreme rows move any scale taken over a batch.
    elsewhere = np.roll(places, len(places) // 2 | 1)
    for parity in (0, 1):
        kept = places % 2 == parity
        for order in (np.where(kept, places, elsewhere), np.where(kept, places, _EXTREME_ROW)):
            changed = _run(graph, rows, order)
            if not _equal([result[kept] for result in changed], [result[kept] for result in results]):
                raise CheckError(
                    "expected each row's result to depend on its own pixels only, but it changes with the rows beside "
                    "it; no certificate is possible: export in eval mode and without dynamic quantisation"
                )


def _run(graph: HostGraph, rows: Rows, order: NDArray[np.int64]) -> list[NDArray[np.generic]]:
    """Return the labels of ``rows`` laid out in ``order`` and, where the graph has them, the bits of their logits."""
    batch = len(graph.inputs[0])
    outputs = []
    for start in range(0, len(order), batch):
        chosen = order[start : start + batch]
        for buffer, array in zip(graph.inputs, rows, strict=True):
            np.take(array, chosen, axis=0, out=buffer, mode="clip")
            buffer[chosen == _EXTREME_ROW] = HIGHEST_PIXEL
        labels, logits = graph.labels().copy(), graph.logits()
        outputs.append([labels] if logits is None else [labels, _bits(logits)])
    return [np.concatenate(parts) for parts in zip(*outputs, strict=True)]


def _bits(values: NDArray[np.generic]) -> NDArray[np.generic]:
    # As bits, a NaN equals itself and -0.0 differs from 0.0.
    return np.ascontiguousarray(values).view(f"u{values.itemsize}").copy()


def _equal(found: Rows, expected: Rows) -> bool:
    return all(np.array_equal(one, other) for one, other in zip(found, expected, strict=True))
