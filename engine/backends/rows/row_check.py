"""The check that every row is classified by one function of its own pixels.

A certificate speaks of one classifier. Batched kernels may round a row differently at another place in the batch, or
(dynamic quantisation, batch statistics) let rows see each other. The first is harmless once every draw has a fixed
place (docs/placement.md) and hardly a label depends on it; the second is refused.
"""

from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import final

import numpy as np
from numpy.typing import NDArray

from purecert.engine.backends.base import FoundRows, Probed
from purecert.engine.backends.graph import HostGraph
from purecert.engine.backends.rows.row_layouts import (
    EXTREME_ROW,
    ZERO_ROW,
    Layout,
    among_others,
    in_order,
    other_neighbours,
    other_places,
)
from purecert.engine.backends.rows.row_progress import CheckProgress
from purecert.engine.errors import CheckError, InputError
from purecert.engine.noise.contract import HIGHEST_PIXEL

LEAST_PERMUTATIONS, MOST_PERMUTATIONS = 3, 20
# Permutations beyond the least may take this share of the rows that the run itself is expected to draw.
_SHARE_OF_RUN = 0.05
_LEAST_IMAGES = 8  # whose batches are checked, whatever that costs
_LEAST_AGREEMENT = 0.99
_LEAST_DISTINCT = 0.5  # of the logits of distinct rows
# Labels that may depend on the place: rounding moves one in a hundred thousand, a graph that looks at the place more.
MOST_PLACED = 1e-3

Rows = Sequence[NDArray[np.generic]]


def permutations_for(expected_rows: int, probe_rows: int, *, has_logits: bool) -> int:
    """Return how many permutations are tried before a run of ``expected_rows``, where the check has ``probe_rows``."""
    each = probe_rows * (1 + has_logits)  # most runtimes run a row once for its label, once for its logits
    return min(MOST_PERMUTATIONS, max(LEAST_PERMUTATIONS, int(_SHARE_OF_RUN * expected_rows / each)))


def check_rows(graph: HostGraph, rows: Rows, classes: int, permutations: int = LEAST_PERMUTATIONS) -> FoundRows:
    """Return where rows may be placed, and what was compared to find out.

    ``rows`` (one array per graph input, whole batches as ``probe_addresses`` lays them) are run among other neighbours
    and at other places. Where every row's logits are bit-equal wherever it lies, placement is ``row_invariant``; else
    it is ``static``. So it is where only labels can be compared, or logits that say little more (``are_coarse``):
    rounding that depends on the place would hardly change one of them.

    Raises:
        InputError: What the plan names as logits is not what the labels are taken from.
        CheckError: A row's result depends on the rows beside it, or too many labels on the place.
    """
    count, batch = len(rows[0]), len(graph.inputs[0])
    neighbours = other_neighbours(count, batch)
    places = list(other_places(count, batch, permutations))
    _refuse_other_logits(graph, rows, classes)
    check = _Check(graph, rows, CheckProgress((1 + len(neighbours) + len(places)) * (count // batch), batch))
    for layout in neighbours:
        check.refuse_neighbours(layout)
    is_placed = [check.is_placed(layout) for layout in places[: len(places) - permutations + LEAST_PERMUTATIONS]]
    # More permutations look for the rare bit that moves; where one has, or nothing could show it, it is settled.
    for layout in places[len(is_placed) :]:
        if not check.shows_rounding or any(is_placed):
            break
        is_placed.append(check.is_placed(layout))
    check.refuse_places()
    probed: Probed = "logits" if check.has_logits else "labels"
    is_static = not check.shows_rounding or any(is_placed)
    return FoundRows(placement="static" if is_static else "row_invariant", probed=probed)


def are_coarse(logits: NDArray[np.generic]) -> bool:
    """Return whether logits [rows, ...] of distinct rows repeat too much for a bit that moves to show in them.

    A real network's are as good as all distinct. A one-hot answer, or rounded logits, would hide rounding that depends
    on the place; whoever names them gets a check of labels.
    """
    return len({row.tobytes() for row in logits}) < _LEAST_DISTINCT * len(logits)


def images_to_check(expected_rows: int, images: int, batch: int, *, has_logits: bool) -> int:
    """Return of how many of a run's images a batch each is checked before ``expected_rows`` are drawn."""
    each = 2 * batch * (1 + has_logits)
    return min(images, max(_LEAST_IMAGES, int(_SHARE_OF_RUN * expected_rows / each)))


def check_images(graph: HostGraph, blocks: Iterable[Rows], images: int) -> None:
    """Refuse a graph that treats a batch of one image otherwise than rows of many.

    Most batches of a run hold draws of one image alone, and a graph can tell. Each of ``blocks`` is a batch of draws of
    each of several images, in all of ``images``; they are run so, and each row at its place among draws of the others.

    Raises:
        CheckError: A row's result depends on the rows beside it.
    """
    batch = len(graph.inputs[0])
    progress = CheckProgress(2 * images, batch)
    for rows in blocks:
        if (together := len(rows[0]) // batch) > 1:
            _Check(graph, rows, progress).refuse_neighbours(among_others(together, batch))


@final
class _Check:
    """The rows' results as they lie in order, and what changed of them elsewhere."""

    def __init__(self, graph: HostGraph, rows: Rows, progress: CheckProgress) -> None:
        self._graph, self._rows, self._progress = graph, rows, progress
        self._results = self._run(in_order(len(rows[0])))
        self._moved = self._compared = 0

    @property
    def has_logits(self) -> bool:
        """Return whether logits were compared, not labels only."""
        return len(self._results) > 1

    @cached_property
    def shows_rounding(self) -> bool:
        """Return whether logits were compared in which rounding would show."""
        return self.has_logits and not are_coarse(self._results[1])

    def refuse_neighbours(self, layout: Layout) -> None:
        """Refuse a graph that gives a row another result among other rows."""
        if self._differing(layout).any():
            raise CheckError(
                "expected each row's result to depend on its own pixels only, but it changes with the rows beside "
                "it; no certificate is possible: export in eval mode and without dynamic quantisation"
            )

    def is_placed(self, layout: Layout) -> bool:
        """Return whether a result differs in a bit at another place; count the labels that do."""
        differing = self._differing(layout)
        self._moved += int(differing[0].sum())
        self._compared += differing.shape[1]
        return bool(differing.any())

    def refuse_places(self) -> None:
        """Refuse a graph whose labels depend on the place more than rounding explains."""
        if self._moved > MOST_PLACED * self._compared:
            raise CheckError(
                f"expected at most {MOST_PLACED:.1%} of labels to depend on a row's place in its batch, but "
                f"{self._moved} of {self._compared} change at another place; no certificate is possible: the graph "
                "looks at the place, or is close to ties; export it again without operations over the batch"
            )

    def _differing(self, layout: Layout) -> NDArray[np.bool_]:
        """Return [results, compared rows]: labels first, then logits, which differ in a bit from those in order."""
        chosen = layout.order[layout.compared]
        return np.array(
            [
                (found[layout.compared] != expected[chosen]).reshape(len(chosen), -1).any(axis=1)
                for found, expected in zip(self._run(layout), self._results, strict=True)
            ]
        )

    def _run(self, layout: Layout) -> list[NDArray[np.generic]]:
        """Return the labels of the rows in ``layout`` and, where the graph has them, the bits of their logits."""
        batch, outputs = len(self._graph.inputs[0]), []
        for start in range(0, len(layout.order), batch):
            chosen = layout.order[start : start + batch]
            for buffer, array in zip(self._graph.inputs, self._rows, strict=True):
                np.take(array, chosen, axis=0, out=buffer, mode="clip")
                buffer[chosen == EXTREME_ROW] = HIGHEST_PIXEL
                buffer[chosen == ZERO_ROW] = 0
            labels, logits = self._graph.labels().copy(), self._graph.logits()
            outputs.append([labels] if logits is None else [labels, _bits(logits)])
            self._progress.batch()
        return [np.concatenate(parts) for parts in zip(*outputs, strict=True)]


def _refuse_other_logits(graph: HostGraph, rows: Rows, classes: int) -> None:
    """Refuse a plan that names another tensor as its logits: the check would then compare something else."""
    for buffer, array in zip(graph.inputs, rows, strict=True):
        np.copyto(buffer, array[: len(buffer)], casting="no")
    labels, logits = graph.labels().copy(), graph.logits()
    if labels.shape != (len(graph.inputs[0]),):
        raise InputError(f"expected one label a row, found labels {list(labels.shape)}; export the plan again")
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


def _bits(values: NDArray[np.generic]) -> NDArray[np.generic]:
    # As bits, a NaN equals itself and -0.0 differs from 0.0.
    return np.ascontiguousarray(values).view(f"u{values.itemsize}").copy()
