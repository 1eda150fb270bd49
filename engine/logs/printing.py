"""How a program may have printed its radii, and which radii would have been printed as a given text."""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

import numpy as np
from jaxtyping import Float64
from numpy.typing import NDArray

Rounding = Literal["nearest", "down", "up"]
_ROUNDINGS: tuple[Rounding, ...] = ("nearest", "down", "up")

# What a program prints; Python's float and Decimal read more (1_0, other scripts' digits, any exponent).
_PLAIN = re.compile(r"[0-9]{1,40}(\.[0-9]{0,40})?(e[+-]?[0-9]{1,3})?")
# From here on, digits are all that a double has: nothing was rounded.
_FULL_DIGITS = 12
# Counts of which one stands for all where their radii are close; any number will do.
_BLOCK = 16
# Of the rows, that a format must be able to write to be looked at, and how many fewer than the best format does.
_LEAST_SHARE = 0.5
_WORSE_SHARE = 0.05


@dataclass(frozen=True, kw_only=True, slots=True)
class PrintFormat:
    """One way to print a radius, as Python's ``str.format``, ``round`` or ``repr`` do."""

    kind: Literal["significant", "fixed", "shortened", "full"]
    digits: int  # significant ones, or decimals; meaningless for ``full``
    rounding: Rounding

    def __str__(self) -> str:
        """Return the format in words."""
        name = {
            "significant": f"{{:.{self.digits}}}",
            "fixed": f"{{:.{self.digits}f}}",
            "shortened": f"round(radius, {self.digits})",
            "full": "all digits",
        }[self.kind]
        return name if self.rounding == "nearest" else f"{name} rounded {self.rounding}"

    def prints(self, text: str) -> bool:
        """Return whether the format writes some number as ``text``."""
        value = float(text)
        match self.kind:
            case "significant":
                return text in (f"{value:.{self.digits}}", f"{value:.{self.digits}g}")
            case "fixed":
                return text == f"{value:.{self.digits}f}"
            case "shortened":
                return text == repr(round(value, self.digits))
            case "full":
                return text == repr(value)

    def interval(self, text: str) -> tuple[float, float]:
        """Return the least and the greatest radius that is printed as ``text``."""
        value = Decimal(text)
        above = self._quantum(value)
        # Just below a power of ten the significant digits reach one decimal further.
        is_power = self.kind == "significant" and value.normalize().as_tuple().digits == (1,)
        below = above / 10 if is_power else above
        match self.rounding:
            case "nearest":
                return float(value - below / 2), float(value + above / 2)
            case "down":
                return float(value), float(value + above)
            case "up":
                return float(value - below), float(value)

    def possible_texts(
        self, radii: Float64[np.ndarray, " counts"], blur: float
    ) -> tuple[Float64[np.ndarray, " texts"], Float64[np.ndarray, " texts"]]:
        """Return the texts that ``radii``, increasing and positive, give: their values, and their intervals' lengths.

        Where nothing was rounded, the interval of a text is ``blur`` to either side.
        """
        if self.kind == "full":
            return radii, np.full(radii.shape, 2 * blur)
        radii = self._telling(radii)
        quantum = self._quanta(radii)
        steps = {"nearest": np.rint, "down": np.floor, "up": np.ceil}[self.rounding](radii / quantum)
        texts = steps * quantum
        # Equal texts are neighbours, and their values the same up to the error of a product. The one that is a power of
        # ten counts by the decimals below it or above it, as the first radius has them.
        is_new = np.diff(texts, prepend=-1.0) > quantum * 1e-6
        return texts[is_new], quantum[is_new]

    def _telling(self, radii: Float64[np.ndarray, " counts"]) -> Float64[np.ndarray, " fewer"]:
        """Return radii that give the same texts, with one of _BLOCK where these are less than a text apart."""
        starts = radii[::_BLOCK]
        # Rounded values of radii that are less than one text apart are at most one apart, so none is passed over.
        is_dense = np.diff(starts, append=np.inf) < 0.99 * self._quanta(starts)
        kept = np.repeat(~is_dense, _BLOCK)[: len(radii)]
        kept[::_BLOCK] = True
        return radii[kept]

    def _quanta(self, radii: Float64[np.ndarray, " counts"]) -> Float64[np.ndarray, " counts"]:
        """Return the lengths of the intervals of the texts that ``radii`` give."""
        exponent = np.floor(np.log10(radii)) - self.digits + 1 if self.kind == "significant" else -float(self.digits)
        return np.broadcast_to(10.0**exponent, radii.shape)

    def _quantum(self, value: Decimal) -> Decimal:
        if self.kind == "full" or (self.kind == "significant" and not value):
            return Decimal(0)
        exponent = value.adjusted() - self.digits + 1 if self.kind == "significant" else -self.digits
        return Decimal((0, (1,), exponent))


@dataclass(frozen=True, kw_only=True, slots=True)
class PrintedRadii:
    """The texts of a log, each once, read by one rounding: formats that cannot be told apart here are one reading."""

    formats: tuple[PrintFormat, ...]
    texts: tuple[str, ...]
    rows: NDArray[np.int64]  # of the log, per text
    lows: NDArray[np.float64]  # least radius that is printed so; NaN where the format does not print so
    highs: NDArray[np.float64]  # greatest


def candidate_readings(texts: Mapping[str, int]) -> list[PrintedRadii]:
    """Return how the texts of a log (with the number of rows of each) may be read, one entry per set of intervals.

    The digits are those that most rows have: a log of 3 digits shows 3 in nine rows of ten.
    """
    by_intervals: dict[bytes, PrintedRadii] = {}
    plain = {text: rows for text, rows in texts.items() if _PLAIN.fullmatch(text)}
    for candidate in _formats(plain) if plain else ():
        reading = _read(candidate, texts)
        key = reading.lows.tobytes() + reading.highs.tobytes()
        known = by_intervals.get(key)
        formats = (*known.formats, candidate) if known else (candidate,)
        by_intervals[key] = PrintedRadii(
            formats=formats, texts=reading.texts, rows=reading.rows, lows=reading.lows, highs=reading.highs
        )
    return list(by_intervals.values())


def _formats(texts: Mapping[str, int]) -> list[PrintFormat]:
    significant = _most({text: len(Decimal(text).normalize().as_tuple().digits) for text in texts}, texts)
    if significant >= _FULL_DIGITS:
        return [PrintFormat(kind="full", digits=17, rounding="nearest")]
    decimals = _most({text: -int(Decimal(text).as_tuple().exponent) for text in texts}, texts)
    found = [PrintFormat(kind="significant", digits=significant, rounding=rounding) for rounding in _ROUNDINGS]
    if 0 <= decimals <= _FULL_DIGITS:
        found += [PrintFormat(kind="fixed", digits=decimals, rounding=rounding) for rounding in _ROUNDINGS]
        found += [PrintFormat(kind="shortened", digits=decimals, rounding=rounding) for rounding in _ROUNDINGS]
    written = [sum(texts[text] for text in texts if each.prints(text)) for each in found]
    rows = sum(texts.values())
    least = max(_LEAST_SHARE * rows, max(written) - max(2, _WORSE_SHARE * rows))
    return [each for each, number in zip(found, written, strict=True) if number >= least]


def _most(digits: Mapping[str, int], texts: Mapping[str, int]) -> int:
    """Return the number of digits that most rows have, of equals the larger."""
    rows: Counter[int] = Counter()
    for text, number in digits.items():
        rows[number] += texts[text]
    return max(rows, key=lambda number: (rows[number], number))


def _read(candidate: PrintFormat, texts: Mapping[str, int]) -> PrintedRadii:
    nothing = (float("nan"), float("nan"))
    intervals = [candidate.interval(text) if candidate.prints(text) else nothing for text in texts]
    lows, highs = np.array(intervals, np.float64).reshape(-1, 2).T
    return PrintedRadii(
        formats=(candidate,), texts=tuple(texts), rows=np.array(list(texts.values()), np.int64), lows=lows, highs=highs
    )
