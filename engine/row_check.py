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
from purecert.engine.errors import CheckError

_PERMUTATIONS = 20
_EXTREME = 2047  # the largest pixel of the noise contract

Rows = Sequence[NDArray[np.generic]]


def check_rows(graph: HostGraph, rows: Rows) -> tuple[Placement, Literal["logits", "labels"]]:
    """Return where rows may be placed, and what was compared to find out.

    ``rows`` (one array per graph input, a whole number of batches long) are run in 20 permutations. Where every row's
    result is bit-equal wherever it lies, placement is ``row_invariant``; else it is ``static``.

    Raises:
        CheckError: A row's result depends on the rows beside it.
    """
    results = _run(graph, rows)
    probed: Literal["logits", "labels"] = "logits" if len(results) > 1 else "labels"
    _refuse_neighbours(graph, rows, results)
    generator = np.random.default_rng(0)  # which permutations are tried is no secret and needs no address
    for _ in range(_PERMUTATIONS):
        order = generator.permutation(len(rows[0]))
        if not _equal(_run(graph, [array[order] for array in rows]), [result[order] for result in results]):
            return "static", probed
    return "row_invariant", probed


def _refuse_neighbours(graph: HostGraph, rows: Rows, results: Rows) -> None:
    """Give each row other neighbours but the same place, and refuse if its result changes."""
    places = np.arange(len(rows[0]))
    # An odd shift takes every row of the other parity out; extreme rows would move any scale taken over the batch.
    other_rows = [np.roll(array, len(array) // 2 | 1, axis=0) for array in rows]
    extreme_rows = [np.full_like(array, _EXTREME) for array in rows]
    for kept in (places[::2], places[1::2]):
        for neighbours in (other_rows, extreme_rows):
            changed = _run(graph, [_keep(array, other, kept) for array, other in zip(rows, neighbours, strict=True)])
            if not _equal([result[kept] for result in changed], [result[kept] for result in results]):
                raise CheckError(
                    "expected each row's result to depend on its own pixels only, but it changes with the rows beside "
                    "it; no certificate is possible: export in eval mode and without dynamic quantisation"
                )


def _keep(array: NDArray[np.generic], other: NDArray[np.generic], kept: NDArray[np.int64]) -> NDArray[np.generic]:
    mixed = other.copy()
    mixed[kept] = array[kept]
    return mixed


def _run(graph: HostGraph, rows: Rows) -> list[NDArray[np.generic]]:
    """Return the labels of all rows and, where the graph has them, the bits of their logits."""
    batch = len(graph.inputs[0])
    outputs = []
    for start in range(0, len(rows[0]), batch):
        for buffer, array in zip(graph.inputs, rows, strict=True):
            np.copyto(buffer, array[start : start + batch], casting="no")
        labels, logits = graph.labels().copy(), graph.logits()
        outputs.append([labels] if logits is None else [labels, _bits(logits)])
    return [np.concatenate(parts) for parts in zip(*outputs, strict=True)]


def _bits(values: NDArray[np.generic]) -> NDArray[np.generic]:
    # As bits, a NaN equals itself and -0.0 differs from 0.0.
    return np.ascontiguousarray(values).view(f"u{values.itemsize}").copy()


def _equal(found: Rows, expected: Rows) -> bool:
    return all(np.array_equal(one, other) for one, other in zip(found, expected, strict=True))
