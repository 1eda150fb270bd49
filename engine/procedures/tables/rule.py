"""Mode radii by stopping tables: each listed radius is certified or given up at a look of its own table.

All tables look at the same draws, and an image ends when each radius is decided. A radius counts only if all smaller
ones are certified, so each table may use all of alpha: the first false claim is at the least false radius, whose table
errs with at most alpha. Giving a radius up gives up the larger ones. What the draws prove is no function of the last
counts (radius 1 may be certified long before radius 2 is given up), so the look of each decision is kept.
"""

import logging
import math
from bisect import bisect_left
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import accumulate
from typing import TypeAlias, final

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

Make: TypeAlias = Callable[[float, int, float, float], StoppingTable]  # of threshold, n, alpha and price

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


def with_tables(spec: SmoothingSpec, tv: float, make: Make = make_table) -> SmoothingSpec:
    """Return ``spec`` with a stopping table for each listed radius within reach, where its rule can have them.

    The first time, a table of 100,000 draws takes some seconds. Very many draws or radii, or a very small alpha, are
    left to the bound that holds at every n, which a warning says.

    Args:
        spec: A sampling plan for rows that may lie anywhere in a batch.
        tv: Total variation of one draw's noise from the ideal Gaussian.
        make: ``make_table``, or what remembers its tables.

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
    tables = tuple(make(threshold, spec.n_estimate, spec.alpha, price) for _, threshold in thresholds)
    return replace(spec, stop=StopSpec(rule="radii", radii=stop.radii, price=price, tables=tables))


def tables_are_too_large(spec: SmoothingSpec, tv: float) -> bool:
    """Return whether ``spec``, which stops at radii, is left to the bound that holds at every n.

    Raises:
        InputError: No radius is within reach.
    """
    return _too_large(spec, len(reached_radii(spec, tv))) is not None


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
        self.place_of = {draws: place for place, draws in enumerate(self.looks)}
        self._open = dict[tuple[int, ...], OpenTables]()
        self.all_open = self._opened(tuple(range(len(self.tables))))

    def watch(self) -> "TableWatch":
        return TableWatch(self)

    def still_open(self, tables: "OpenTables", decided: Collection[int]) -> "OpenTables":
        """Return those of ``tables`` that are not among ``decided``; images share what is prepared for them."""
        return self._opened(tuple(place for place in tables.places if place not in decided))

    def _opened(self, places: tuple[int, ...]) -> "OpenTables":
        if places not in self._open:
            self._open[places] = OpenTables(places, self.columns, self.looks)
        return self._open[places]

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

    def certifies(self, n: int, k: int) -> bool:
        """Return whether ``k`` successes in ``n`` draws certify, which they do at a look only."""
        return n in self.bounds and k >= self.bounds[n][1]


@final
class OpenTables:
    """The tables that one image's draws leave open, as one: a look costs as much for many radii as for one."""

    def __init__(self, places: tuple[int, ...], columns: Sequence[Column], looks: Sequence[int]) -> None:
        """Prepare the tables ``places`` of ``columns`` for ``looks``, which are those of all columns."""
        self.places, self._columns = places, [columns[place] for place in places]
        bounds = [[column.bounds.get(draws, _NO_LOOK) for column in self._columns] for draws in looks]
        # At each look: at most so many successes give some table up, and at least so many certify by one.
        self.low = [max((low for low, _ in each), default=-1) for each in bounds]
        self.high = [min((high for _, high in each), default=math.inf) for each in bounds]
        # Up to each look: the most failures that some look admits, and the most successes that one gives up.
        failures = (draws - high for draws, high in zip(looks, self.high, strict=True))
        self.most_failures = list(accumulate(failures, max))
        self.most_given_up = list(accumulate(self.low, max))

    def decided(self, k: int, n: int) -> tuple[int, ...]:
        """Return the places of the tables that ``k`` successes after ``n`` draws certify or give up."""
        found = []
        for position, (place, column) in enumerate(zip(self.places, self._columns, strict=True)):
            low, high = column.bounds.get(n, _NO_LOOK)
            if k >= high:
                found.append(place)
            elif k <= low:  # the larger ones go with it
                return (*found, *self.places[position:])
        return tuple(found)


@final
class TableWatch(Watch):
    """One image's draws against the tables."""

    def __init__(self, rule: TableRule) -> None:
        self._rule, self._looks, self._place_of = rule, rule.looks, rule.place_of
        self._stops, self._open = dict[int, tuple[int, int]](), rule.all_open

    def remaining(self, k: int, n: int) -> int:
        tables, place = self._open, self._place_of.get(n)
        if place is None:
            place = bisect_left(self._looks, n) - 1
        elif not tables.low[place] < k < tables.high[place]:
            decided = tables.decided(k, n)
            self._stops |= dict.fromkeys(decided, (n, k))
            tables = self._open = self._rule.still_open(tables, decided)
        if not tables.places:
            return 0
        # The next look at which any table may decide, whatever the draws until then show. Tables look after the same
        # draws from their first looks on; one that lacked a later look would only be asked too often.
        after = place + 1
        by_failures = bisect_left(tables.most_failures, n - k, after)
        return self._looks[bisect_left(tables.most_given_up, k, after, by_failures)] - n

    def decided(self) -> Stops:
        """Return the same with an entry for each radius: no draws where it is not decided yet."""
        return tuple(self._stops.get(place, (0, 0)) for place in range(len(self._rule.tables)))

    @property
    def stops(self) -> Stops:
        return tuple(self._stops[place] for place in sorted(self._stops))
