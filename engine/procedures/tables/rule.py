"""Mode radii by stopping tables: each listed radius is certified or given up at a look of its own table.

All tables look at the same draws, and an image ends when each radius is decided. A radius counts only if all smaller
ones are certified, so each table may use all of alpha: the first false claim is at the least false radius, whose table
errs with at most alpha. Giving a radius up gives up the larger ones. What the draws prove is no function of the last
counts (radius 1 may be certified long before radius 2 is given up), so the look of each decision is kept.
"""

import logging
import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import accumulate
from typing import final

import numpy as np
from numpy.typing import ArrayLike

from purecert.engine.errors import InputError
from purecert.engine.procedures.extending import TwoLooks
from purecert.engine.procedures.outcomes import Stops
from purecert.engine.procedures.spec import DEFAULT_PRICE, SmoothingSpec, StopSpec
from purecert.engine.procedures.stopping import StopRule, Watch, count_rule, threshold_of
from purecert.engine.statistics.bounds import Floats
from purecert.engine.statistics.stopping_tables import MAX_TABLE_DRAWS, MIN_TABLE_ALPHA, MOST_TABLES, StoppingTable
from purecert.engine.statistics.table_errors import false_claims_at_most
from purecert.engine.statistics.table_making import is_reachable, make_table

_log = logging.getLogger("purecert")
_NO_LOOK = (-1, math.inf)  # certifies nothing and gives nothing up
# SciPy's versions differ by less in a threshold, which is rounded up by more (stopping.py).
_THRESHOLD_ROOM = 2e-13


def stop_rule(spec: SmoothingSpec, tv: float) -> StopRule:
    """Return the rule of a certificate as ``spec`` says.

    Args:
        spec: Sampling plan.
        tv: Total variation of one draw's noise from the ideal Gaussian: added to every probability asked for.

    Raises:
        InputError: No radius that is asked for can be reached with the spec's draws, or its tables are not sound.
    """
    if spec.tables:
        return table_rule(spec, tv)
    return TwoLooks(spec) if spec.is_extended else count_rule(spec, tv)


@lru_cache(maxsize=8)
def table_rule(spec: SmoothingSpec, tv: float) -> "TableRule":
    """Return the rule of ``spec``, which has stopping tables."""
    return TableRule(spec, tv)


def with_tables(spec: SmoothingSpec, tv: float) -> SmoothingSpec:
    """Return ``spec`` with a stopping table for each listed radius within reach, where its rule can have them.

    The first time, a table of 100,000 draws takes some seconds. Very many draws or radii, or a very small alpha, are
    left to the bound that holds at every n, which a warning says.

    Args:
        spec: A sampling plan for rows that may lie anywhere in a batch.
        tv: Total variation of one draw's noise from the ideal Gaussian.

    Raises:
        InputError: No radius is within reach.
    """
    stop = spec.stop
    if stop is None or stop.rule != "radii" or stop.tables:
        return spec
    price = DEFAULT_PRICE if stop.price is None else stop.price
    thresholds = reached_radii(spec, tv)
    if problem := _too_large(spec, len(thresholds)):
        _log.warning("%s, so the bound that holds at every n decides, which has no price", problem)
        return replace(spec, stop=replace(stop, price=None))
    tables = tuple(make_table(threshold, spec.n_estimate, spec.alpha, price) for _, threshold in thresholds)
    return replace(spec, stop=StopSpec(rule="radii", radii=stop.radii, price=price, tables=tables))


def _too_large(spec: SmoothingSpec, radii: int) -> str | None:
    if spec.n_estimate > MAX_TABLE_DRAWS:
        return f"stopping tables have at most {MAX_TABLE_DRAWS} draws"
    if spec.alpha < MIN_TABLE_ALPHA:
        return f"stopping tables have an alpha of at least {MIN_TABLE_ALPHA}"
    return f"there are stopping tables for at most {MOST_TABLES} radii" if radii > MOST_TABLES else None


def reached_radii(spec: SmoothingSpec, tv: float) -> list[tuple[float, float]]:
    """Return each listed radius within reach of the draws, with the probability to exceed.

    Raises:
        InputError: There is none.
    """
    assert spec.stop is not None
    asked = [(radius, threshold_of(radius, spec.sigma, tv)) for radius in spec.stop.radii]
    reached = [one for one in asked if is_reachable(one[1], spec.n_estimate, spec.alpha)]
    if not reached:
        raise InputError(
            f"expected a radius that {spec.n_estimate} draws can certify at sigma {spec.sigma}, got "
            f"{list(spec.stop.radii)}; ask for smaller radii, or for more draws"
        )
    return reached


@final
class TableRule(StopRule):
    """Stops when every listed radius within reach is decided by its table."""

    is_exact = True

    def __init__(self, spec: SmoothingSpec, tv: float) -> None:
        """Prepare the tables of ``spec``.

        Raises:
            InputError: The tables are not those of the radii, or one of them errs more often than alpha.
        """
        reached, self.tables = reached_radii(spec, tv), spec.tables
        self.radii = tuple(radius for radius, _ in reached)
        if len(self.tables) != len(reached):
            raise InputError(f"expected {len(reached)} stopping tables of radii within reach, found {len(self.tables)}")
        for (radius, threshold), table in zip(reached, self.tables, strict=True):
            if abs(table.threshold - threshold) > _THRESHOLD_ROOM:
                raise InputError(f"expected a stopping table of {threshold!r} for radius {radius}, found another")
            if (error := false_claims_at_most(table)) > spec.alpha:
                raise InputError(f"expected a stopping table that errs with at most {spec.alpha}, found {error:.6g}")
        self.columns = tuple(Column(table) for table in self.tables)
        # After how many draws some table looks, in increasing order.
        self.looks = tuple(sorted({draws for table in self.tables for draws in table.looks}))

    def watch(self) -> "TableWatch":
        return TableWatch(self.columns)

    def proven(self, k: ArrayLike, n: ArrayLike, stops: Sequence[Stops]) -> tuple[Floats, Floats]:
        certified = np.array([self.certified(each) for each in stops], np.int64)
        # What is asked for and reached is certified to the last digit; the way back from a bound would round it down.
        radii = np.array([0.0, *np.nextafter(self.radii, math.inf)])
        return np.array([0.0, *(table.threshold for table in self.tables)])[certified], radii[certified]

    def certified(self, stops: Stops) -> int:
        """Return how many radii, from the smallest on, ended where their tables certify."""
        decided = zip(self.columns, stops, strict=False)
        return sum(accumulate((column.certifies(*stop) for column, stop in decided), lambda some, one: some and one))

    @property
    def most(self) -> float:
        return self.tables[-1].threshold


@final
class Column:
    """A table to be looked up in: ``bounds`` has at each look what gives up and what certifies."""

    def __init__(self, table: StoppingTable) -> None:
        self.bounds = dict(zip(table.looks, zip(table.low, table.high, strict=True), strict=True))
        self.looks = table.looks
        # Up to each look: the most failures that some look admits, and the most successes that one gives up.
        failures = (draws - high for draws, high in zip(table.looks, table.high, strict=True))
        self.most_failures = list(accumulate(failures, max))
        self.most_given_up = list(accumulate(table.low, max))

    def certifies(self, n: int, k: int) -> bool:
        """Return whether ``k`` successes in ``n`` draws certify, which they do at a look only."""
        return n in self.bounds and k >= self.bounds[n][1]

    def next_look(self, k: int, n: int) -> int:
        """Return the next look after ``n`` draws at which draws with ``k`` successes so far may be decided."""
        place = min(bisect_left(self.most_failures, n - k), bisect_left(self.most_given_up, k))
        return self.looks[max(place, bisect_left(self.looks, n + 1))]


@final
class TableWatch(Watch):
    """One image's draws against the tables."""

    def __init__(self, columns: Sequence[Column]) -> None:
        self._columns, self._stops = columns, dict[int, tuple[int, int]]()
        self._open = list(range(len(columns)))

    def remaining(self, k: int, n: int) -> int:
        nearest, still_open = 0, []
        for position, place in enumerate(self._open):
            column = self._columns[place]
            low, high = column.bounds.get(n, _NO_LOOK)
            if k >= high:
                self._stops[place] = n, k
                continue
            if k <= low:  # the larger ones go with it
                self._stops |= dict.fromkeys(self._open[position:], (n, k))
                break
            still_open.append(place)
            look = column.next_look(k, n)
            nearest = look if not nearest else min(nearest, look)
        self._open = still_open
        return nearest - n if nearest else 0

    def decided(self) -> Stops:
        """Return the same with an entry for each radius: no draws where it is not decided yet."""
        return tuple(self._stops.get(place, (0, 0)) for place in range(len(self._columns)))

    @property
    def stops(self) -> Stops:
        return tuple(self._stops[place] for place in sorted(self._stops))
