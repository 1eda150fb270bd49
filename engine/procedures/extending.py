"""Draws of a fixed n that may be continued once, because alpha was split for that before the first draw.

After n draws the class's probability is bounded by the exact bound at the first part of alpha, after N draws at the
rest. Either is of a number of draws fixed in advance, so each fails with probability at most its part, and both hold
together with probability 1 - alpha, however the wish to go on came from what n draws showed. So the larger counts.
A bound that may be looked at again without such a split is another test: each look could fail by all of alpha.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import final

import numpy as np
from numpy.typing import ArrayLike

from purecert.engine.errors import InputError
from purecert.engine.procedures.drawing import Counts, Procedure
from purecert.engine.procedures.outcomes import Outcome, Stops
from purecert.engine.procedures.spec import SmoothingSpec
from purecert.engine.procedures.stopping import StopRule, Watch
from purecert.engine.statistics.bounds import Floats, clopper_pearson_lower


@final
class TwoLooks(StopRule):
    """Looks after n draws, and again after the last of N: the larger of both exact bounds, which share alpha."""

    is_exact = True

    def __init__(self, spec: SmoothingSpec) -> None:
        """Prepare for continued draws as ``spec`` says."""
        (self._first, self._alpha_first), (self._last, self._alpha_last) = spec.fixed_looks
        self.looks = (self._first, self._last)

    def watch(self) -> "TwoLooksWatch":
        return TwoLooksWatch(self._first, self._last)

    def proven(self, k: ArrayLike, n: ArrayLike, stops: Sequence[Stops]) -> tuple[Floats, Floats]:
        """Return as of any rule; draws without the looks of the spec prove what the last one does."""
        is_known = np.array([[draws for draws, _ in each] == [*self.looks] for each in stops], bool)
        k_first = np.array([each[0][1] if known else 0 for each, known in zip(stops, is_known, strict=True)], np.int64)
        first = clopper_pearson_lower(k_first, self._first, self._alpha_first)
        p_lower = np.maximum(first, clopper_pearson_lower(k, n, self._alpha_last))
        return p_lower, np.zeros(np.shape(p_lower))

    @property
    def most(self) -> float:
        first = clopper_pearson_lower(self._first, self._first, self._alpha_first)
        return float(np.maximum(first, clopper_pearson_lower(self._last, self._last, self._alpha_last)))


@final
class TwoLooksWatch(Watch):
    """One image's draws, continued after their first look."""

    def __init__(self, first: int, last: int) -> None:
        self._first, self._last, self._stops = first, last, Stops()

    def remaining(self, k: int, n: int) -> int:
        if n < self._first:
            return self._first - n
        if n in (self._first, self._last):
            self._stops = (*self._stops, (n, k))
        return self._last - n

    def decided(self) -> Stops:
        """Return the same before the end."""
        return self._stops

    @property
    def stops(self) -> Stops:
        return self._stops


def extended(spec: SmoothingSpec) -> SmoothingSpec:
    """Return ``spec`` as its draws are continued to the last look.

    Raises:
        InputError: Alpha was not split for a second look, or the second look was taken already.
    """
    if spec.extension is None:
        raise InputError(
            "it was begun without --extend-to, so all of alpha was spent on the one look at its draws, and a bound "
            "that is looked at twice is another test; start a new run with a larger n, or with --extend-to"
        )
    if spec.is_extended:
        raise InputError(
            f"its draws were continued to {spec.n_estimate} already, and alpha was split for two looks; start a new run"
        )
    return replace(spec, n_estimate=spec.extension.n_last)


def continuation_problem(spec: SmoothingSpec, stops: Stops, k: int) -> str | None:
    """Return why continued draws with ``k`` successes at the end cannot have had these looks; None where they can.

    Args:
        spec: Sampling plan of continued draws.
        stops: The looks as recorded.
        k: Successes among all draws.
    """
    (first, _), (last, _) = spec.fixed_looks
    if [draws for draws, _ in stops] != [first, last] or stops[-1][1] != k:
        return f"expected two looks, after {first} draws and after {last} with {k} successes, found {stops!r:.200}"
    k_first = stops[0][1]
    if not 0 <= k_first <= first:
        return f"expected successes in [0, {first}] at the first look, found {k_first!r:.80}"
    if not 0 <= k - k_first <= last - first:
        return (
            f"expected {last - first} draws after the first look to lead from {k_first} successes to {k}; they cannot"
        )
    return None


def continued(procedure: Procedure, phases: Sequence[Counts]) -> Procedure:
    """Return ``procedure`` from where it stands once it has received the counts of draws that were made before.

    Args:
        procedure: A fresh one.
        phases: Counts of its first requests, in order; it asks for more after them.
    """
    request = next(procedure)
    for counts in phases:
        assert request.count == counts.sum(), "counts of other draws than the procedure asks for"
        request = procedure.send(counts)
    try:
        while True:
            request = procedure.send((yield request))
    except StopIteration as end:
        ended: Outcome = end.value
        return ended
