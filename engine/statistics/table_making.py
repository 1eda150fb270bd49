"""A stopping table that draws little: made by dynamic programming over the looks, for a law of images and a price.

The programme minimises E[draws] + price P(fixed n certifies, and the table gave up) + lambda P(certify at the
threshold), the first two over images whose Phi^-1(p) is normal, and lambda is found by bisection so that the last
probability is alpha. It runs under the threshold's own law: an image of probability p has likelihood ratio
(p / p0)^k (q / q0)^(n - k) after k successes in n draws, so the state is one number per k. Nothing that is claimed
rests on what is computed here (table_errors.py).
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import special

from purecert.engine.errors import CheckError, InputError
from purecert.engine.statistics.bounds import Floats, least_certifying
from purecert.engine.statistics.stopping_tables import LAW_MEAN, LAW_STD, TABLE_FORM, StoppingTable
from purecert.engine.statistics.table_errors import binomial_weights, false_claims_at_most

_EVERY_DRAW_UP_TO = 60
_GROWTH = 0.02  # of the draws from one look to the next, after that
_POINTS = 97  # of the law, at each look, where the likelihood is
_FAR = 8.0  # standard deviations
_CLOSE = 1e-3  # log of the share of alpha that may be left unused
_NEAR = 1e-3  # between logs of lambda: the error has steps, and no lambda between may be better
_MOST_PASSES = 40
_ROOM = 1e-6  # of alpha
_MOST_TIES = 4  # bounds that differ by one
_LARGEST_LOG = 650.0  # whose exponential is a double


@lru_cache(maxsize=256)
def make_table(threshold: float, n: int, alpha: float, price: float) -> StoppingTable:
    """Return a table that certifies at ``threshold`` with probability at most ``alpha``, after at most ``n`` draws.

    Args:
        threshold: The probability to exceed, in [1/2, 1).
        n: Draws, at the most.
        alpha: Failure probability; threshold^n must be less, or no draws can certify.
        price: What a certificate is worth that n draws would have given, in draws.

    Raises:
        InputError: An argument is outside of what a table may have.
        CheckError: The programme found no table.
    """
    if not is_reachable(threshold, n, alpha):
        raise InputError(f"expected a threshold that {n} draws can exceed at alpha {alpha}, got {threshold}")
    making = _Making(threshold, n, alpha, price)
    table = making.solved()
    if false_claims_at_most(table) > alpha:
        raise CheckError(f"expected a stopping table that errs with at most {alpha}, found none at price {price}")
    return table


def is_reachable(threshold: float, n: int, alpha: float) -> bool:
    """Return whether ``n`` draws that all agree exceed ``threshold`` at ``alpha``, with room for rounding."""
    return threshold < 1 and float(special.bdtrc(n - 1, n, threshold)) <= alpha * (1 - _ROOM)


def is_made_alike(table: StoppingTable, other: StoppingTable) -> bool:
    """Return whether two tables are of one programme: equal, up to ties that floating point may break elsewhere."""
    if (table.threshold, table.n, table.alpha, table.price) != (other.threshold, other.n, other.alpha, other.price):
        return False
    columns = ((table.high, other.high), (table.low, other.low))
    moved = [abs(a - b) for one, two in columns for a, b in zip(one, two, strict=False) if a != b]
    return table.looks == other.looks and len(moved) <= _MOST_TIES and max(moved, default=0) <= 1


@dataclass(frozen=True, slots=True)
class _Look:
    """The states of one look, by successes from ``first`` on: below all are given up, above all are certified."""

    draws: int
    first: int
    mass: Floats  # of images in each state, over the threshold's own law
    lost: Floats  # the price times those that the rest of n draws would certify


@dataclass(frozen=True, slots=True)
class _Tried:
    log_lambda: float
    excess: float  # log of the error over alpha
    table: StoppingTable


class _Making:
    def __init__(self, threshold: float, n: int, alpha: float, price: float) -> None:
        self._p, self._n, self._alpha, self._price = threshold, n, alpha, price
        self._looks = self._prepared(schedule(n))

    def solved(self) -> StoppingTable:
        """Return the table whose error is just below alpha."""
        sound, unsound = self._bracket()
        for _ in range(_MOST_PASSES):
            if sound.excess > -_CLOSE or sound.log_lambda - unsound.log_lambda < _NEAR:
                break
            share = unsound.excess / (unsound.excess - sound.excess)
            tried = self._try(unsound.log_lambda + min(max(share, 0.1), 0.9) * (sound.log_lambda - unsound.log_lambda))
            sound, unsound = (tried, unsound) if tried.excess <= 0 else (sound, tried)
        return sound.table

    def _bracket(self) -> tuple[_Tried, _Tried]:
        """Return two prices of an error: one that is enough, and one that is too little."""
        tried, step = self._try(math.log(self._price / self._alpha) - 4), 1.0
        for _ in range(_MOST_PASSES):
            before = tried
            tried = self._try(before.log_lambda + (step if before.excess > 0 else -step))
            if (tried.excess > 0) != (before.excess > 0):
                return (before, tried) if before.excess <= 0 else (tried, before)
            step *= 2
        raise CheckError(f"expected a stopping table that errs with at most {self._alpha}, found none")

    def _try(self, log_lambda: float) -> _Tried:
        table = self._table(math.exp(min(log_lambda, _LARGEST_LOG)))
        error = max(false_claims_at_most(table), np.finfo(np.float64).tiny)
        return _Tried(log_lambda, math.log(error / self._alpha), table)

    def _prepared(self, looks: list[int]) -> list[_Look]:
        """Return the states of all looks, with what giving up there would lose."""
        certified = least_certifying(self._p, self._n, self._alpha)
        first, last = self._window(looks[-1])
        mass = self._mass(looks[-1], first, last)
        lost = np.where(np.arange(first, last + 1) >= certified, self._price * mass, 0.0)
        prepared = [_Look(looks[-1], first, mass, lost)]
        for draws in reversed(looks[:-1]):
            following, (first, last) = prepared[-1], self._window(draws)
            # Above the following look's states nearly every image is one that all draws certify.
            top = following.first + len(following.mass)
            end = max(top, last + following.draws - draws + 1)
            beyond = self._price * self._mass(following.draws, top, end - 1)
            lost = _mean_after(draws, first, last, following, np.append(following.lost, beyond), self._p)
            prepared.append(_Look(draws, first, self._mass(draws, first, last), lost))
        return prepared[::-1]

    def _window(self, draws: int) -> tuple[int, int]:
        """Return the first and the last number of successes between which a table may go on after ``draws``."""
        spread = math.sqrt(draws * self._p * (1 - self._p))
        down, up = (math.sqrt(2 * math.log(size) + 10) for size in (max(self._price, 2.0), 1 / self._alpha))
        least, most = draws * self._p - down * spread - 12, draws * self._p + up * spread + 12
        return max(0, math.floor(least)), min(draws, math.ceil(most))

    def _mass(self, draws: int, first: int, last: int) -> Floats:
        """Return how many images are in each state from ``first`` to ``last``, over its chance at the threshold."""
        p, q = self._p, 1 - self._p
        spread = math.sqrt(p * q / draws)
        near = np.clip([first / draws - _FAR * spread, last / draws + _FAR * spread], 0, 1)
        low, high = np.clip(special.ndtri(near), LAW_MEAN - _FAR * LAW_STD, LAW_MEAN + _FAR * LAW_STD)
        z = np.linspace(low, high, _POINTS)
        weight = np.exp(-0.5 * ((z - LAW_MEAN) / LAW_STD) ** 2) * (z[1] - z[0]) / math.sqrt(2 * math.pi) / LAW_STD
        log_failure = np.log(special.ndtr(-z) / q)
        ratio = np.log(special.ndtr(z) / p) - log_failure
        likelihood = np.outer(np.arange(first, last + 1), ratio) + draws * log_failure
        return np.asarray(np.exp(np.minimum(likelihood, _LARGEST_LOG)) @ weight)

    def _table(self, error: float) -> StoppingTable:
        """Return the best table where certifying at the threshold costs ``error``."""
        after, high, low = None, [], []
        for look in reversed(self._looks):
            going_on = np.full(len(look.mass), np.inf) if after is None else self._going_on(look, *after, error)
            certifies = (error <= look.lost) & (error <= going_on)
            gives_up = (look.lost < error) & (look.lost <= going_on)
            high.append(_first_certified(look, certifies, self._p))
            low.append(look.first + int(np.flatnonzero(gives_up)[-1]) if gives_up.any() else look.first - 1)
            after = look, np.minimum(np.minimum(error, look.lost), going_on)
        looks = [look.draws for look in self._looks]
        return self._record(list(_useful(looks, high[::-1], low[::-1])))

    def _going_on(self, look: _Look, following: _Look, value: Floats, error: float) -> Floats:
        """Return what it costs to go on from each state of ``look``, by the ``value`` of those that follow."""
        step, last = following.draws - look.draws, look.first + len(look.mass) - 1
        certified = np.full(max(0, last + step + 1 - following.first - len(value)), error)
        after = _mean_after(look.draws, look.first, last, following, np.append(value, certified), self._p)
        return after + step * look.mass

    def _record(self, rows: list[tuple[int, int, int]]) -> StoppingTable:
        looks, high, low = zip(*rows, strict=True)
        return StoppingTable(
            form=TABLE_FORM,
            threshold=self._p,
            n=self._n,
            alpha=self._alpha,
            price=self._price,
            law_mean=LAW_MEAN,
            law_std=LAW_STD,
            looks=looks,
            high=high,
            low=low,
        )


def schedule(n: int) -> list[int]:
    """Return the draws after which a table of ``n`` draws looks: after each at first, then ever more apart."""
    looks = [0]
    while looks[-1] < n:
        wide = math.floor(_GROWTH * looks[-1]) if looks[-1] >= _EVERY_DRAW_UP_TO else 1
        looks.append(min(n, looks[-1] + max(1, wide)))
    return looks[1:]


def _mean_after(draws: int, first: int, last: int, following: _Look, values: Floats, p: float) -> Floats:
    """Return the mean of ``values`` at the following look from each state of ``first`` to ``last`` after ``draws``.

    ``values`` begin with the first state there, and below it stay as they are there.
    """
    least, weights, _ = binomial_weights(following.draws - draws, p)
    begin = first + least - following.first
    end = last + least + len(weights) - following.first
    reached = np.concatenate([np.full(max(0, -begin), values[0]), values[max(0, begin) : max(0, end)]])
    return np.asarray(np.correlate(reached, weights, "valid"))


def _first_certified(look: _Look, certifies: NDArray[np.bool_], p: float) -> int:
    """Return the successes from which on all states are certified; those above the last are.

    None is that has no more than draws at the threshold show: only a table that errs far too often would do so.
    """
    others = np.flatnonzero(~certifies)
    first = look.first + (int(others[-1]) + 1 if others.size else 0)
    return min(max(first, math.floor(p * look.draws) + 1), look.draws + 1)


def _useful(looks: list[int], high: list[int], low: list[int]) -> Iterator[tuple[int, int, int]]:
    """Yield the looks at which anything may end; the last leaves nothing open."""
    for draws, certify, give_up in zip(looks, high, low, strict=True):
        if draws == looks[-1]:
            yield draws, certify, certify - 1
        elif certify <= draws or give_up >= 0:
            yield draws, certify, give_up
