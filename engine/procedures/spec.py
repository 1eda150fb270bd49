"""What to certify and how: the numbers that fix a run's statistics."""

import math
import reprlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, cast

from purecert.engine.errors import InputError
from purecert.engine.statistics.stopping_tables import MAX_PRICE, MIN_PRICE, MOST_TABLES, StoppingTable

# A draw is addressed by 32 bits (kernels/README.md).
MAX_DRAWS = 2**32 - 1
# Beyond half, a "lower bound" would be wrong more often than right.
MAX_ALPHA = 0.5
# Where draws are not of one law, the exact bound of a fixed n holds up to here (docs/placement.md).
MAX_PLACED_ALPHA = 0.25
# Bounds are exact down to 1e-100 (engine/statistics/bounds.py); parts of this still are.
MIN_SPEC_ALPHA = 1e-90

# To stop at: each is tested at every look of every image.
_MOST_RADII = 1000
DEFAULT_ALPHA_REFUTE = 1e-3
DEFAULT_PRICE = 1e6  # of a lost certificate, in draws (docs/stopping-early.md)
DEFAULT_TOLERANCE = 0.05  # of a radius, as a share
DEFAULT_LEAST_CHANCE = 1e-3  # of an early prediction (docs/stopping-early.md)

# Where accuracy is reported, and what the draws stop at, unless others are asked for: L2, [0, 1] pixel units.
DEFAULT_RADII = (0.0, 0.25, 0.5, 0.75, 1.0)

_FEWER_WHERE_IT_STOPS = 10  # measured: 9 for five radii to 72 for one (docs/stopping-early.md)

Mode = Literal["certify", "predict"]
CertifyMode = Literal["fixed", "radii", "tolerance"]  # of --mode
StopName = Literal["radii", "tolerance", "answer"]


@dataclass(frozen=True, kw_only=True, slots=True)
class StopSpec:
    """When to stop before all draws are drawn.

    ``radii``: once every listed radius is certified or given up, each by a table of its own where rows may lie anywhere
    in a batch, elsewhere by bounds that hold at every n. ``tolerance``: once the certified radius is within a share of
    the largest that the draws leave possible. ``answer``: once the prediction is settled, or unlikely to be.

    Raises:
        InputError: A number is out of its range.
    """

    rule: StopName
    radii: tuple[float, ...] = ()  # in [0, 1] pixel units, increasing; of the rule "radii" only
    tolerance: float | None = None  # of the rule "tolerance" only, in (0, 1)
    alpha_final: float = 0.0  # the part of alpha for the exact bound after the last draw; the rest is for stopping
    alpha_refute: float = (
        DEFAULT_ALPHA_REFUTE  # failure probability of giving a radius up: it costs a certificate, it makes none false
    )
    price: float | None = None  # of the rule "radii": a lost certificate is worth so many draws; None: the default
    tables: tuple[StoppingTable, ...] = ()  # of "radii": of each listed radius within reach; alpha is whole for each
    # Of "answer": an image is given up where the draws left would answer it with less chance. None: of before schema 7.
    least_chance: float | None = None

    def __post_init__(self) -> None:
        # NumPy's numbers, and a list of radii, are recorded as plain ones.
        object.__setattr__(self, "radii", tuple(plain_number("radii", radius) for radius in _listed(self.radii)))
        for name in ("tolerance", "alpha_final", "alpha_refute", "price", "least_chance"):
            value = getattr(self, name)
            object.__setattr__(self, name, None if value is None else plain_number(name, value))
        if self.rule == "radii":
            is_increasing = all(low < high for low, high in zip(self.radii, self.radii[1:], strict=False))
            is_valid = bool(self.radii) and is_increasing and all(0 <= r < math.inf for r in self.radii)
            _require(is_valid, "increasing radii of at least 0 to stop at", reprlib.repr(list(self.radii)))
            _require(len(self.radii) <= _MOST_RADII, f"at most {_MOST_RADII} radii to stop at", len(self.radii))
        if self.rule == "tolerance":
            eta = self.tolerance
            _require(eta is not None and 0 < eta < 1, "a tolerance in (0, 1)", eta)
        _require(self.rule == "radii" or not self.radii, f"no radii to stop at, of the rule {self.rule}", self.radii)
        has_tolerance = self.tolerance is not None
        _require(self.rule == "tolerance" or not has_tolerance, f"no tolerance of the rule {self.rule}", self.tolerance)
        is_whole = self.rule != "answer" or self.alpha_final == 0
        _require(is_whole, "no part of alpha for the last look of a prediction", self.alpha_final)
        _require(0 < self.alpha_refute < MAX_ALPHA, f"alpha of refutation in (0, {MAX_ALPHA})", self.alpha_refute)
        chance = self.least_chance
        is_chance = chance is None or (self.rule == "answer" and 0 < chance < MAX_ALPHA)
        _require(is_chance, f"a least chance in (0, {MAX_ALPHA}), of the rule answer alone", chance)
        self._check_tables()

    def _check_tables(self) -> None:
        is_price = self.price is None or (self.rule == "radii" and MIN_PRICE <= self.price <= MAX_PRICE)
        _require(is_price, f"a price in [{MIN_PRICE:g}, {MAX_PRICE:g}] draws, of the rule radii alone", self.price)
        if self.tables:
            _require(self.rule == "radii", "no stopping tables, of the rule " + self.rule, len(self.tables))
            _require(len(self.tables) <= len(self.radii), "a stopping table a radius, at most", len(self.tables))
            _require(len(self.tables) <= MOST_TABLES, f"at most {MOST_TABLES} stopping tables", len(self.tables))
            prices = {table.price for table in self.tables}
            _require(prices == {self.price}, f"stopping tables made for the price {self.price}", sorted(prices))
            unused = (self.alpha_final, self.alpha_refute)
            _require(unused == (0, DEFAULT_ALPHA_REFUTE), "no parts of alpha where stopping tables decide", unused)


def usual_stop(mode: CertifyMode, alpha: float) -> StopSpec | None:
    """Return what ``--mode`` says of stopping at ``alpha``, where no number is chosen otherwise; None for fixed n.

    Raises:
        InputError: There is no such mode.
    """
    if mode == "fixed":
        return None
    if mode == "radii":
        return StopSpec(rule=mode, radii=DEFAULT_RADII, alpha_final=alpha / 2, alpha_refute=alpha, price=DEFAULT_PRICE)
    _require(mode == "tolerance", "a mode out of fixed, radii and tolerance", mode)
    return StopSpec(rule=mode, tolerance=DEFAULT_TOLERANCE, alpha_final=alpha / 2, alpha_refute=alpha)


@dataclass(frozen=True, kw_only=True, slots=True)
class ExtensionSpec:
    """That the draws are looked at after n of them, and may be continued once: a split of alpha made in advance.

    Raises:
        InputError: A number is out of its range.
    """

    n_first: int  # draws of the phase that estimates, at the first look
    n_last: int  # and at the last one
    alpha_first: float  # the part of alpha for the first look; the rest is kept for the last

    def __post_init__(self) -> None:
        object.__setattr__(self, "alpha_first", plain_number("alpha_first", self.alpha_first))
        _require(
            1 <= self.n_first < self.n_last, "more draws to extend to than the first n", (self.n_first, self.n_last)
        )
        _require(self.n_last <= MAX_DRAWS, f"at most {MAX_DRAWS} draws to extend to", self.n_last)


@dataclass(frozen=True, kw_only=True, slots=True)
class SmoothingSpec:
    """The sampling plan of one certificate, or of one prediction.

    Raises:
        InputError: A number is out of its range.
    """

    mode: Mode
    sigma: float  # noise std, in [0, 1] pixel units
    n_select: int = 100  # draws that pick the class (n0); none where the class is given or all draws vote
    n_estimate: int = 100_000  # fresh draws that bound its probability (n), at the most where `stop` says so
    alpha: float = 1e-3  # failure probability of one certificate, all of it
    stop: StopSpec | None = None  # None: exactly n_estimate draws
    against_label: bool = False  # the class is the data's label: nothing is selected, and no other class is claimed
    # Looks, and the end of each phase, fall on multiples of so many draws: the batch, where placement is static.
    step: int = 1
    extension: ExtensionSpec | None = None  # None: the draws are not looked at before the last, nor continued after it

    def __post_init__(self) -> None:
        _require(self.sigma > 0 and math.isfinite(self.sigma), "sigma > 0 in [0, 1] pixel units", self.sigma)
        _require(MIN_SPEC_ALPHA <= self.alpha < MAX_ALPHA, f"alpha in [{MIN_SPEC_ALPHA}, {MAX_ALPHA})", self.alpha)
        _require(1 <= self.n_estimate <= MAX_DRAWS, f"n in [1, {MAX_DRAWS}]", self.n_estimate)
        _require(1 <= self.n_select <= MAX_DRAWS, f"n0 in [1, {MAX_DRAWS}]", self.n_select)
        self._check_step()
        if self.stop is not None:
            rules = ("radii", "tolerance") if self.mode == "certify" else ("answer",)
            _require(self.stop.rule in rules, f"a stopping rule of {self.mode}: {' or '.join(rules)}", self.stop.rule)
            final = self.stop.alpha_final
            is_part = final == 0 or MIN_SPEC_ALPHA / 2 <= final < self.alpha
            _require(is_part, "alpha of the last look to be 0 or a part of alpha", final)
            self._check_tables()
        _require(self.mode == "certify" or not self.against_label, "a class given to certify, not to predict", True)
        self._check_extension()

    def _check_extension(self) -> None:
        extension = self.extension
        if extension is None:
            return
        is_fixed = self.mode == "certify" and self.stop is None
        _require(is_fixed, "certificates of a fixed n to extend: draws that stop early take what they need", self.mode)
        ends = (extension.n_first, extension.n_last)
        _require(self.n_estimate in ends, f"n as one of the looks of its extension, {ends}", self.n_estimate)
        least = MIN_SPEC_ALPHA / 2
        is_part = extension.alpha_first >= least and self.alpha - extension.alpha_first >= least
        _require(is_part, f"alpha of the first look as a part of alpha, {self.alpha}", extension.alpha_first)

    def _check_step(self) -> None:
        _require(1 <= self.step <= MAX_DRAWS, f"a step in [1, {MAX_DRAWS}]", self.step)
        if self.step > 1:
            looks = [n for n, _ in self.fixed_looks]
            counts = (*looks, self.n_select) if self.selects else (*looks,)
            is_whole = all(count % self.step == 0 for count in counts)
            _require(is_whole, f"draws in whole batches of {self.step} where placement is static", counts)
            limit = f"alpha of at most {MAX_PLACED_ALPHA} where placement is static (docs/placement.md)"
            _require(self.alpha <= MAX_PLACED_ALPHA, limit, self.alpha)

    def _check_tables(self) -> None:
        made_for = {(table.n, table.alpha) for table in self.tables} - {(self.n_estimate, self.alpha)}
        _require(not made_for, f"stopping tables of n = {self.n_estimate} and alpha = {self.alpha}", sorted(made_for))
        _require(not self.tables or self.step == 1, "no stopping table where looks fall on whole batches", self.step)

    @property
    def tables(self) -> tuple[StoppingTable, ...]:
        """Return the stopping tables that decide, of the listed radii within reach; none where there are none."""
        return () if self.stop is None else self.stop.tables

    @property
    def selects(self) -> bool:
        """Return whether draws of their own pick the class before others speak of it."""
        is_voting = self.mode == "predict" and self.stop is None  # all draws vote at once
        return not is_voting and not self.against_label

    @property
    def alpha_stop(self) -> float:
        """Return the part of alpha that the bound which holds at every look may use."""
        return self.alpha if self.stop is None else self.alpha - self.stop.alpha_final

    @property
    def fixed_looks(self) -> tuple[tuple[int, float], ...]:
        """Return after how many draws an exact bound of a fixed n may be looked at, and its part of alpha, in order.

        All but the first are of draws that an extension may add.
        """
        if self.extension is None:
            return ((self.n_estimate, self.alpha),)
        first = self.extension.alpha_first
        rest = math.nextafter(self.alpha - first, 0)  # both together are at most alpha, whatever the difference lost
        return ((self.extension.n_first, first), (self.extension.n_last, rest))

    @property
    def alpha_fixed(self) -> float:
        """Return the part of alpha for the exact bound of a fixed n after the last draw."""
        return dict(self.fixed_looks)[self.n_estimate]

    @property
    def is_extended(self) -> bool:
        """Return whether the draws were continued after a first look."""
        return self.extension is not None and self.n_estimate == self.extension.n_last

    @property
    def expected_rows(self) -> int:
        """Return about how many draws one image takes: all of them, or a tenth where they may stop."""
        return self.max_rows if self.stop is None else self.max_rows // _FEWER_WHERE_IT_STOPS

    @property
    def max_rows(self) -> int:
        """Return the draws of one image, at the most."""
        return self.n_estimate + (self.n_select if self.selects else 0)


def _require(condition: bool, expected: str, came: object) -> None:
    if not condition:
        raise InputError(f"expected {expected}, got {came}")


def _listed(radii: object) -> Iterable[object]:
    _require(isinstance(radii, Iterable) and not isinstance(radii, str), "a list of radii", radii)
    return cast(Iterable[object], radii)


def plain_number(name: str, value: object) -> float:
    """Return ``value``, NumPy's numbers included, as a float.

    Raises:
        InputError: It is not a number.
    """
    try:
        return float(cast(float, value))
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError(f"expected {name} as a number, got {reprlib.repr(value)}") from error
