"""Whether recorded decisions can be true: the draws of one image are a path, and its decisions are places on it.

A path of k successes after n draws never falls and never rises by more than it is drawn. While a radius is open, its
table neither certified nor gave it up at any look. So after each look a range of k is possible; where it is empty no
draws can have ended so.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from purecert.engine.procedures.outcomes import Stops
from purecert.engine.procedures.tables.rule import TableRule

Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]


def path_problems(
    rule: TableRule, stops: Sequence[Stops], k: Ints, n: Ints, looks: Sequence[int | None]
) -> list[str | None]:
    """Return of each image why its draws cannot have ended as recorded; None where they can.

    Args:
        rule: Of the run.
        stops: Where each radius was decided.
        k: Successes among the draws at the end.
        n: Draws at the end.
        looks: How often they were looked at; None where that is not asked about.
    """
    radii, longest = len(rule.tables), rule.tables[0].n
    has_all = [len(each) == radii and all(0 <= s <= d <= longest for d, s in each) for each in stops]
    draws, successes = (
        np.array(
            [[s[i] for s in each] if ok else [0] * radii for each, ok in zip(stops, has_all, strict=True)]
        ).reshape(len(stops), radii)
        for i in (0, 1)
    )
    is_known, count = np.array([one is not None for one in looks]), np.array([one or 0 for one in looks], object)
    is_decided, is_given_up = _decisions(rule, draws, successes)
    last = draws.max(axis=1, initial=0)
    is_end = (last == n) & (np.where(draws == n[:, None], successes, -1).max(axis=1, initial=-1) == k)
    most = np.searchsorted(rule.looks, n, side="right")
    judged = {
        f"expected a decision of each of {radii} radii": np.array(has_all, bool),
        "expected decisions at looks of the stopping tables, as these say": is_decided.all(axis=1),
        "expected no radius left open where a smaller one was given up": ~_outlives(draws, is_given_up),
        "expected draws that end with the last decision": is_end,
        "expected decisions that lie on one path of draws, open until each": _lie_on_a_path(rule, draws, successes),
        "expected at least a look a decision, and no more than the tables have": ~is_known
        | ((count >= _distinct(draws)) & (count <= most)),
        "expected as many looks as draws take that all agree": ~is_known
        | ((k > 0) & (k < n))
        | (count == _looks_if_all_agree(rule, k)),
    }
    found: list[str | None] = [None] * len(stops)
    for words, holds in judged.items():
        for place in np.flatnonzero(~holds).tolist():
            found[place] = found[place] or f"{words}, found {stops[place]!r:.200} after {n[place]} draws"
    return found


def _decisions(rule: TableRule, draws: Ints, successes: Ints) -> tuple[Flags, Flags]:
    """Return whether each radius is decided where it says, and whether its own table gives it up there."""
    is_decided, is_given_up = np.zeros(draws.shape, bool), np.zeros(draws.shape, bool)
    for place, table in enumerate(rule.tables):
        n, k = draws[:, place], successes[:, place]
        looks, high, low = (np.array(column) for column in (table.looks, table.high, table.low))
        at = np.minimum(np.searchsorted(looks, n), len(looks) - 1)
        is_look = looks[at] == n
        is_given_up[:, place] = is_look & (k <= low[at])
        # A smaller radius that is given up takes the larger ones with it, whatever look of theirs that is.
        smaller = is_given_up[:, :place] & (draws[:, :place] == n[:, None]) & (successes[:, :place] == k[:, None])
        is_decided[:, place] = (is_look & ((k >= high[at]) | (k <= low[at]))) | smaller.any(axis=1)
    return is_decided, is_given_up


def _outlives(draws: Ints, is_given_up: Flags) -> Flags:
    """Return whether some radius was decided after a smaller one was given up."""
    found = np.zeros(len(draws), bool)
    for place in range(draws.shape[1]):
        found |= (is_given_up[:, place, None] & (draws[:, place + 1 :] > draws[:, place, None])).any(axis=1)
    return found


def _lie_on_a_path(rule: TableRule, draws: Ints, successes: Ints) -> Flags:
    """Return whether some draws go through all decisions, each radius undecided by its table until then."""
    least, most = np.zeros(len(draws), np.int64), np.zeros(len(draws), np.int64)
    is_possible, before = np.ones(len(draws), bool), 0
    for look in rule.looks:
        most += look - before
        before = look
        for place, column in enumerate(rule.columns):
            n, k = draws[:, place], successes[:, place]
            if look in column.bounds:
                is_open = n > look
                low, high = column.bounds[look]
                least = np.where(is_open, np.maximum(least, low + 1), least)
                most = np.where(is_open, np.minimum(most, high - 1), most)
            here = n == look
            least, most = np.where(here, np.maximum(least, k), least), np.where(here, np.minimum(most, k), most)
        is_possible &= (least <= most) | (draws.max(axis=1, initial=0) < look)
    return is_possible


def _looks_if_all_agree(rule: TableRule, k: Ints) -> Ints:
    """Return how many looks a path of successes only takes where ``k`` is above 0, else one of failures only."""
    counted = []
    for success in (0, 1):
        watch, n, looks = rule.watch(), 0, 0
        while more := watch.remaining(success * n, n):
            n, looks = n + more, looks + 1
        counted.append(looks)
    return np.where(k > 0, counted[1], counted[0])


def _distinct(draws: Ints) -> Ints:
    ordered = np.sort(draws, axis=1)
    return np.asarray(1 + (ordered[:, 1:] != ordered[:, :-1]).sum(axis=1))
