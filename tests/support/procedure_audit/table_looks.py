"""Images and exact chances of mode radii by stopping tables, from the tables' numbers alone: no rule of the engine."""

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from purecert.engine.procedures.spec import SmoothingSpec, StopSpec
from purecert.engine.procedures.tables.rule import with_tables
from support.procedure_audit.cells import Cell
from support.procedure_audit.truth import probability_below, true_radius

_RADII = (0.0, 0.25, 0.5, 0.75)
_Decided = tuple[bool | None, ...]  # of each radius: certified, given up, or open


def table_spec(alpha: float, n: int) -> SmoothingSpec:
    """Return a sampling plan of mode radii with its tables."""
    stop = StopSpec(rule="radii", radii=_RADII)
    return with_tables(SmoothingSpec(mode="certify", sigma=0.5, n_estimate=n, alpha=alpha, stop=stop), 0.0)


def table_cells(spec: SmoothingSpec) -> list[Cell]:
    """Return images at one half, just under each listed radius, and between two."""
    under = {f"under radius {radius}": probability_below(radius, spec.sigma) for radius in _RADII[1:]}
    named = {name: (p, 1 - p, 0.0) for name, p in under.items()}
    named |= {"one half": (0.5, 0.5, 0.0), "one half, 20 % invalid": (0.5, 0.3, 0.2), "radius 0.37": (0.77, 0.0, 0.23)}
    return [Cell(name=name, spec=spec, probabilities=p) for name, p in named.items()]


def false_claim_by_tables(spec: SmoothingSpec, p: float) -> float:
    """Return the chance that ``spec``'s tables certify a radius that a class of probability ``p`` does not have."""
    true = sum(radius < true_radius(p, spec.sigma) for radius in _RADII) if p > 0.5 else 0
    return sum(chance for certified, chance in enumerate(chances_by_tables(spec, p)) if certified > true)


def chances_by_tables(spec: SmoothingSpec, p: float) -> list[float]:
    """Return how likely 0, 1, ... of the radii are certified, from the smallest on, for a class of probability ``p``.

    A sum over draws, successes, and what is decided so far, with every look of every table.
    """
    tables = spec.tables
    rows = [dict(zip(t.looks, zip(t.low, t.high, strict=True), strict=True)) for t in tables]
    start: _Decided = (None,) * len(tables)
    going: dict[_Decided, NDArray[np.float64]] = {start: np.eye(1, spec.n_estimate + 1)[0]}
    chances, drawn = [0.0] * (len(tables) + 1), 0
    for look in sorted({draws for table in tables for draws in table.looks}):
        step = stats.binom.pmf(np.arange(look - drawn + 1), look - drawn, p)
        drawn, after = look, dict[_Decided, NDArray[np.float64]]()
        for before, mass in going.items():
            moved = np.convolve(mass, step)[: spec.n_estimate + 1]
            for k in np.flatnonzero(moved).tolist():
                decided = _decide(before, [row.get(look) for row in rows], k)
                if None in decided:
                    after.setdefault(decided, np.zeros_like(moved))[k] += moved[k]
                else:
                    chances[(*decided, False).index(False)] += float(moved[k])
        going = after
    return chances


def _decide(before: _Decided, bounds: list[tuple[int, int] | None], k: int) -> _Decided:
    decided = list(before)
    for place, (state, bound) in enumerate(zip(before, bounds, strict=True)):
        if state is None and bound is not None and k >= bound[1]:
            decided[place] = True
        elif state is None and bound is not None and k <= bound[0]:
            return (*decided[:place], *[False if one is None else one for one in decided[place:]])
    return tuple(decided)
