"""When a certificate is settled: rules that see the counts of one image only, and stop without a loss of alpha.

A fixed n is looked at once. Where all draws have one law, listed radii are decided by tables that fix in advance when
to look and what ends there (``tables/rule.py``). The other rules stop at bounds that hold at every number of draws at
once (``engine/statistics/anytime.py``), so it does not matter when these are looked at.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import lru_cache
from typing import final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from purecert.engine.errors import InputError
from purecert.engine.procedures.outcomes import Stops
from purecert.engine.procedures.spec import SmoothingSpec
from purecert.engine.statistics.anytime import Thresholds, anytime_lower, anytime_upper
from purecert.engine.statistics.bounds import Floats, clopper_pearson_lower

# SciPy's normal distribution function is within 1e-14 relative: more is asked for.
_SLACK = 1e-12
# Radius 0 asks for more than one half: by so much that the certificate keeps a radius after rounding.
_ABOVE_HALF = 1e-9


class Watch(ABC):
    """What a rule makes of one image's draws, look by look."""

    @abstractmethod
    def remaining(self, k: int, n: int) -> int:
        """Return how many draws more to wait for after k successes in n draws: 0 where the rule stops.

        Called once a look, in order.
        """

    @property
    def stops(self) -> Stops:
        """Return where each radius was decided, where tables decide."""
        return ()


class StopRule(ABC):
    """When the draws of an image stop, and what they prove where they end."""

    is_exact = False  # a look comes after exactly as many draws as a watch says
    looks: Sequence[int] = ()  # and after no other numbers of draws than these, where it is known before

    @abstractmethod
    def watch(self) -> Watch:
        """Return what watches the draws of one image."""

    @abstractmethod
    def proven(self, k: ArrayLike, n: ArrayLike, stops: Sequence[Stops]) -> tuple[Floats, Floats]:
        """Return what the draws of many images prove that ended with k successes in n draws.

        That is a lower bound on each class's probability under noise as drawn, and the largest listed radius that is
        certified to its last digit; 0 where there is none.
        """

    @property
    @abstractmethod
    def most(self) -> float:
        """Return the largest lower bound that any draws can prove."""


class CountRule(StopRule):
    """Says of k successes in n draws whether more are needed, and what they prove where the draws end.

    The counts of many images may come as arrays of one shape; each entry is answered for as if it came alone.
    """

    def __init__(self, spec: SmoothingSpec) -> None:
        """Prepare for draws as ``spec`` says."""
        self._spec = spec

    @abstractmethod
    def all_remaining(self, k: ArrayLike, n: ArrayLike) -> NDArray[np.int64]:
        """Return how many draws it takes at the least until the rule can stop, whatever they show: 0 where it stops."""

    @abstractmethod
    def all_p_lower(self, k: ArrayLike, n: ArrayLike) -> Floats:
        """Return the lower bound on the class's probability, under noise as drawn, that counts at the end prove."""

    def listed_radius(self, k: ArrayLike, n: ArrayLike) -> Floats:
        """Return the largest radius, of those listed, that the counts certify; 0 where there is none."""
        return np.zeros(np.shape(k))

    def watch(self) -> Watch:
        return _CountWatch(self)

    def proven(self, k: ArrayLike, n: ArrayLike, stops: Sequence[Stops]) -> tuple[Floats, Floats]:
        return self.all_p_lower(k, n), self.listed_radius(k, n)

    @property
    def most(self) -> float:
        return self.p_lower(self._spec.n_estimate, self._spec.n_estimate)

    def remaining(self, k: int, n: int) -> int:
        """Return ``all_remaining`` of one image."""
        return int(self.all_remaining(k, n))

    def p_lower(self, k: int, n: int) -> float:
        """Return ``all_p_lower`` of one image."""
        return float(self.all_p_lower(k, n))


@final
class _CountWatch(Watch):
    def __init__(self, rule: CountRule) -> None:
        self._rule = rule

    def remaining(self, k: int, n: int) -> int:
        return self._rule.remaining(k, n)


@lru_cache(maxsize=8)
def count_rule(spec: SmoothingSpec, tv: float) -> CountRule:
    """Return the rule of ``spec``, which has no stopping tables: what it says depends on the counts alone.

    Args:
        spec: Sampling plan of a certificate.
        tv: Total variation of one draw's noise from the ideal Gaussian: added to every probability asked for.

    Raises:
        InputError: No radius that is asked for can be reached with the spec's draws.
    """
    assert not spec.tables
    if spec.stop is None:
        return FixedRule(spec)
    if spec.stop.rule == "radii":
        return RadiiRule(spec, tv)
    return ToleranceRule(spec, tv)


def threshold_of(radius: float, sigma: float, tv: float) -> float:
    """Return the probability, rounded up, beyond which a class is certified out to ``radius``, under noise as drawn."""
    ideal = max(float(special.ndtr(math.nextafter(radius, math.inf) / sigma)) * (1 + _SLACK), 0.5 + _ABOVE_HALF)
    return min(1.0, math.nextafter(ideal + tv, 2.0))


@final
class FixedRule(CountRule):
    """Stops after n draws, as published: one look, at the exact bound of a number of draws fixed in advance.

    Where the draws may be continued, or were, its bound is at the part of alpha for so many (``extending.py``).
    """

    def __init__(self, spec: SmoothingSpec) -> None:
        super().__init__(spec)
        self._n, self._alpha = spec.n_estimate, spec.alpha_fixed

    def all_remaining(self, k: ArrayLike, n: ArrayLike) -> NDArray[np.int64]:
        return np.asarray(self._n - np.asarray(n, np.int64))

    def all_p_lower(self, k: ArrayLike, n: ArrayLike) -> Floats:
        return clopper_pearson_lower(k, n, self._alpha)


@final
class RadiiRule(CountRule):
    """Stops when every radius that can be reached at all is certified or refuted."""

    def __init__(self, spec: SmoothingSpec, tv: float) -> None:
        super().__init__(spec)
        assert spec.stop is not None
        radii = np.array([r for r in spec.stop.radii if _is_reachable(spec, threshold_of(r, spec.sigma, tv))])
        if not radii.size:
            raise InputError(
                f"expected a radius that {spec.n_estimate} draws can certify at sigma {spec.sigma}, got "
                f"{list(spec.stop.radii)}; ask for smaller radii, or for more draws"
            )
        self._radii = radii
        self._certify = Thresholds([threshold_of(radius, spec.sigma, tv) for radius in radii], spec.alpha_stop)
        # Refuted if U + tv < Phi(r / sigma): of failures, that is 1 - U > 1 - Phi + tv.
        ideal = np.maximum(special.ndtr(radii / spec.sigma), 0.5)
        most_failures = np.minimum((1 - ideal) * (1 + _SLACK) + tv + _SLACK, 1.0)
        self._refute = Thresholds(most_failures, spec.stop.alpha_refute)

    @property
    def radii(self) -> tuple[float, ...]:
        """Return the listed radii that the draws can certify, if all agree."""
        return tuple(float(radius) for radius in self._radii)

    def all_remaining(self, k: ArrayLike, n: ArrayLike) -> NDArray[np.int64]:
        """The radii up to some one must be certified and the others refuted; the least is over where to part them."""
        successes, trials = _columns(k, n)
        certify = self._certify.least_draws(successes, trials)
        refute = self._refute.least_draws(trials - successes, trials)
        nothing = np.zeros((*certify.shape[:-1], 1), np.int64)
        # To certify the first j radii takes what the hardest of them takes, to refute the rest likewise.
        certify_first = np.concatenate([nothing, np.maximum.accumulate(certify, axis=-1)], axis=-1)
        refute_rest = np.concatenate([np.maximum.accumulate(refute[..., ::-1], axis=-1)[..., ::-1], nothing], axis=-1)
        return np.asarray(np.min(np.maximum(certify_first, refute_rest), axis=-1))

    def all_p_lower(self, k: ArrayLike, n: ArrayLike) -> Floats:
        return _early_p_lower(self._spec, k, n)

    def listed_radius(self, k: ArrayLike, n: ArrayLike) -> Floats:
        # What is asked for and reached is certified to the last digit; the way back from a bound would round it down.
        is_certified = self._certify.shortfall(*_columns(k, n)) <= 0
        largest = np.where(is_certified, self._radii, 0.0).max(axis=-1)
        return np.asarray(np.where(largest > 0, np.nextafter(largest, np.inf), 0.0))

    def not_given_up(self, k: int, n: int) -> list[float]:
        """Return the listed radii within reach that the counts do not refute."""
        return [float(radius) for radius in self._radii[self._refute.shortfall(n - k, n) > 0]]


@final
class ToleranceRule(CountRule):
    """Stops when the certified radius is within a share of the largest that the draws leave possible, or there is none.

    The upper bound decides only when to stop, so nothing that is claimed rests on it.
    """

    def __init__(self, spec: SmoothingSpec, tv: float) -> None:
        super().__init__(spec)
        assert spec.stop is not None
        assert spec.stop.tolerance is not None
        self._alpha, self._alpha_upper, self._share = spec.alpha_stop, spec.stop.alpha_refute, 1 - spec.stop.tolerance
        self._tv = tv
        self._exceeds, self._falls_short = Thresholds(0.5, self._alpha), Thresholds(0.5, self._alpha_upper)

    def all_remaining(self, k: ArrayLike, n: ArrayLike) -> NDArray[np.int64]:
        """Before one half is exceeded, or undercut, nothing is settled; then the next draw may settle it."""
        successes, trials = np.broadcast_arrays(np.asarray(k, np.int64), np.asarray(n, np.int64))
        behind = self._falls_short.least_draws(trials - successes, trials)
        either = np.array(np.minimum(self._exceeds.least_draws(successes, trials), behind))
        may_settle = either == 0
        either[may_settle] = ~self._is_settled(successes[may_settle], trials[may_settle])
        return either

    def all_p_lower(self, k: ArrayLike, n: ArrayLike) -> Floats:
        return _early_p_lower(self._spec, k, n)

    def _is_settled(self, k: NDArray[np.int64], n: NDArray[np.int64]) -> NDArray[np.bool_]:
        upper, lower = anytime_upper(k, n, self._alpha_upper), anytime_lower(k, n, self._alpha) - self._tv
        # In units of sigma. While every draw agrees the upper bound is 1, whose radius is endless.
        is_close = special.ndtri(np.maximum(lower, 0.0)) >= self._share * special.ndtri(np.minimum(upper, 1.0))
        return np.asarray((upper <= 0.5) | ((lower > 0.5) & is_close))


def _columns(k: ArrayLike, n: ArrayLike) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return counts with a last axis for the radii."""
    return np.asarray(k, np.int64)[..., None], np.asarray(n, np.int64)[..., None]


def _early_p_lower(spec: SmoothingSpec, k: ArrayLike, n: ArrayLike) -> Floats:
    """Return the bound that holds at every look; after the last draw of all, the exact one too: they share alpha."""
    assert spec.stop is not None
    lower = anytime_lower(k, n, spec.alpha_stop)
    if spec.stop.alpha_final > 0:
        exact = clopper_pearson_lower(k, n, spec.stop.alpha_final)
        lower = np.where(np.asarray(n) == spec.n_estimate, np.maximum(lower, exact), lower)
    return lower


def _is_reachable(spec: SmoothingSpec, threshold: float) -> bool:
    """Return whether the probability can be exceeded if every draw agrees."""
    n = spec.n_estimate
    return threshold < 1 and float(_early_p_lower(spec, n, n)) > threshold
