"""Rules that end an early prediction, each looking at the counts of many images at once (early_predictions.py)."""

from abc import ABC, abstractmethod
from functools import lru_cache
from typing import final

import numpy as np
from numpy.typing import NDArray

from purecert.engine.statistics.anytime import Thresholds
from purecert.engine.statistics.outlook import Outlook
from purecert.engine.statistics.table_making import make_table

ALPHA = 1e-3
_ABOVE_HALF = 0.5 + 1e-9

Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]
Floats = NDArray[np.float64]


class Rule(ABC):
    """What ends each image; alive until told otherwise."""

    def __init__(self, images: int, n: int) -> None:
        self.draws, self.answered, self.is_open = np.full(images, n), np.zeros(images, bool), np.ones(images, bool)

    @abstractmethod
    def decide(self, at: int, images: Ints, own: Ints, rivals: Ints) -> tuple[Flags, Flags]:
        """Return which of ``images`` are answered after ``at`` draws, and which are given up."""

    def look(self, at: int, images: Ints, own: Ints, rivals: Ints) -> None:
        answered, given_up = self.decide(at, images, own, rivals)
        ends = images[self.is_open[images] & (answered | given_up)]
        self.answered[images[self.is_open[images] & answered]] = True
        self.draws[ends], self.is_open[ends] = at, False


@final
class Duels(Rule):
    """The candidate against the strongest rival by the bound for every n, as the engine has it."""

    def __init__(self, images: int, n: int, alpha: float = ALPHA, least_chance: float | None = None) -> None:
        super().__init__(images, n)
        self._ahead, self._behind = least_ahead(n, alpha), least_ahead(n, ALPHA)
        self._outlook = None if least_chance is None else Outlook(n, alpha, least_chance)

    def decide(self, at: int, images: Ints, own: Ints, rivals: Ints) -> tuple[Flags, Flags]:
        strongest = rivals.max(axis=1)
        together = own + strongest
        given_up = strongest >= self._behind[together]
        if self._outlook is not None:
            given_up = given_up | (self._outlook.least_draws(own, strongest, at) == 0)
        return own >= self._ahead[together], given_up


@final
class Table(Rule):
    """The candidate against all the rest, by one stopping table at one half."""

    def __init__(self, images: int, n: int, alpha: float, price: float) -> None:
        super().__init__(images, n)
        table = make_table(_ABOVE_HALF, n, alpha, price)
        self._bounds = dict(zip(table.looks, zip(table.high, table.low, strict=True), strict=True))

    def decide(self, at: int, images: Ints, own: Ints, rivals: Ints) -> tuple[Flags, Flags]:
        high, low = self._bounds.get(at, (at + 1, -1))
        return own >= high, own <= low


@final
class Split(Rule):
    """Both at once, which share alpha: the table may give up alone, the duels go on."""

    def __init__(self, images: int, n: int, share: float, price: float) -> None:
        super().__init__(images, n)
        self._table = Table(images, n, ALPHA * share, price)
        self._duels = Duels(images, n, ALPHA * (1 - share))

    def decide(self, at: int, images: Ints, own: Ints, rivals: Ints) -> tuple[Flags, Flags]:
        self._table.look(at, images, own, rivals)
        answered, given_up = self._duels.decide(at, images, own, rivals)
        return answered | self._table.answered[images], given_up


@final
class Choice(Rule):
    """One of both with all of alpha, chosen by the candidate's share of the selection."""

    def __init__(self, images: int, n: int, takes_table: Flags, price: float) -> None:
        super().__init__(images, n)
        self._takes_table = takes_table
        self._table, self._duels = Table(images, n, ALPHA, price), Duels(images, n)

    def decide(self, at: int, images: Ints, own: Ints, rivals: Ints) -> tuple[Flags, Flags]:
        by_table, by_duels = (rule.decide(at, images, own, rivals) for rule in (self._table, self._duels))
        answered, given_up = (
            np.where(self._takes_table[images], *pair) for pair in zip(by_table, by_duels, strict=True)
        )
        return answered, given_up


@final
class DuelTables(Rule):
    """A table for each rival, whose draws are those of the two; between its looks its bounds are drawn straight."""

    def __init__(self, images: int, n: int, classes: int, price: float) -> None:
        super().__init__(images, n)
        table, draws = make_table(0.5, n, ALPHA, price), np.arange(n + 1)
        looks = np.array(table.looks)
        self._high, self._low = (
            np.interp(draws, looks, np.array(bound) - looks / 2, left=side) + draws / 2
            for bound, side in ((table.high, np.inf), (table.low, -np.inf))
        )
        self._is_certified = np.zeros((images, classes - 1), bool)

    def decide(self, at: int, images: Ints, own: Ints, rivals: Ints) -> tuple[Flags, Flags]:
        together, before = own[:, None] + rivals, self._is_certified[images]
        given_up = (own[:, None] <= self._low[together]) & ~before
        now = before | ((own[:, None] >= self._high[together]) & ~given_up)
        self._is_certified[images] = now
        return now.all(axis=1), given_up.any(axis=1)


@final
class Floor(Rule):
    """The sequential likelihood ratio of the known law against a tie; images beyond n draws take none."""

    def __init__(self, images: int, n: int, laws: Floats) -> None:
        super().__init__(images, n)
        self._rival = laws[:, 1:].argmax(axis=1)
        pair = laws[:, 0] + laws[:, 1:].max(axis=1)
        share = np.clip(laws[:, 0] / pair, 1e-12, 1 - 1e-12)
        self._gain, self._loss = np.log(2 * share), np.log(2 * (1 - share))
        rate = pair * (share * self._gain + (1 - share) * self._loss)
        hopeless = (share <= 0.5) | (n * rate < -np.log(ALPHA))
        self.draws[hopeless], self.is_open[hopeless] = 0, False

    def decide(self, at: int, images: Ints, own: Ints, rivals: Ints) -> tuple[Flags, Flags]:
        against = rivals[np.arange(len(images)), self._rival[images]]
        answered = own * self._gain[images] + against * self._loss[images] >= -np.log(ALPHA)
        return answered, np.zeros(len(images), bool)


@lru_cache(maxsize=16)
def least_ahead(n: int, alpha: float) -> Ints:
    """Return for each number of draws of two classes how many must show the one that is ahead."""
    thresholds, draws = Thresholds(0.5, alpha), np.arange(n + 1)
    few, enough = draws // 2, draws + 1
    while (enough - few > 1).any():
        middle = (few + enough) // 2
        is_ahead = thresholds.shortfall(middle, draws) <= 0
        few, enough = np.where(is_ahead, few, middle), np.where(is_ahead, middle, enough)
    return np.asarray(enough)
