"""How likely a setting makes the texts of a log, weighed only where the log has rows."""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int64
from numpy.typing import NDArray

from purecert.engine.logs.fingerprint import TOLERANCE
from purecert.engine.logs.printing import PrintedRadii, Rounding

# Of rows that no count explains (a forgery, a slip of the hand), before the log has been looked at.
FLAWED = 1e-3
# Of a radius, to either side: rows are taken to be spread evenly over no more than this. A setting then gains by gaps
# beside the log's rows, where others could have stood as well, and not by gaps where a classifier has no rows.
_NEAR = 0.03
# Python and NumPy print to the nearest digit. Rounding down is done on purpose, by programs like this one; rounding up
# overclaims, and nothing is known to do it.
_PRIOR: dict[Rounding, float] = {"nearest": 1.0, "down": 0.05, "up": 0.01}


@dataclass(frozen=True, kw_only=True, slots=True)
class Neighbourhoods:
    """The texts of a log and what stands near each of them."""

    reading: PrintedRadii
    lows: NDArray[np.float64]  # least value that is near each text
    highs: NDArray[np.float64]  # greatest
    order: NDArray[np.int64]  # of the texts by value
    first: NDArray[np.int64]  # in that order: the least text near each
    last: NDArray[np.int64]  # in that order: past the greatest

    def rows_near(self, counted: Bool[np.ndarray, " texts"]) -> Int64[np.ndarray, " texts"]:
        """Return how many rows of the texts ``counted`` stand near each text."""
        below = np.concatenate([[0], np.cumsum((self.reading.rows * counted)[self.order])])
        return np.asarray(below[self.last] - below[self.first])


def neighbourhoods(reading: PrintedRadii) -> Neighbourhoods:
    """Return what is near each text of ``reading``: itself, and all within a few per cent."""
    values = np.array([float(text) for text in reading.texts], np.float64)
    spans = reading.highs - reading.lows
    # Unrounded texts, and the radius zero, have no length; near them is still more than nothing.
    narrowest = float(np.min(spans[spans > 0], initial=np.inf))
    reach = np.maximum(_NEAR * values, np.fmax(spans, TOLERANCE if math.isinf(narrowest) else narrowest))
    order = np.argsort(values, kind="stable")
    lows, highs = values - reach, values + reach
    return Neighbourhoods(
        reading=reading,
        lows=lows,
        highs=highs,
        order=order,
        first=np.searchsorted(values[order], lows, "left"),
        last=np.searchsorted(values[order], highs, "right"),
    )


def log_likelihood(
    near: Neighbourhoods,
    explained: Bool[np.ndarray, " texts"],
    at_ceiling: Bool[np.ndarray, " texts"],
    sigma: float,
    printable: tuple[Float64[np.ndarray, " possible"], Float64[np.ndarray, " possible"]],
) -> float:
    """Return the logarithm of how likely a setting makes the texts, up to a constant of the log.

    A row stands at the ceiling as often as rows of this log do. Any other is spread over what the setting can print
    near it, as densely as the log's other rows are there. One row in a thousand may be any text, printable or not.

    Args:
        near: The texts, as one format reads them.
        explained: Which of them some count gives.
        at_ceiling: Which of them ``n`` successes give.
        sigma: In [0, 1] pixel units.
        printable: Values and lengths of all texts that the setting can print, increasing.
    """
    rows = near.reading.rows
    length = near.highs - near.lows
    widths = np.fmax(near.reading.highs - near.reading.lows, 2 * TOLERANCE * sigma)
    # A text that the format does not print is as narrow as the narrowest.
    widths = np.where(np.isnan(widths), np.nanmin(widths), widths)
    density = np.log(np.maximum(near.rows_near(~at_ceiling), 1) * widths / rows.sum())
    share = np.clip(_printable_share(near, printable), widths / length, 1.0)
    piled = int(rows[at_ceiling].sum())
    of_text = density - np.log(length) + np.where(explained, math.log1p(-FLAWED) - np.log(share), math.log(FLAWED))
    of_text[at_ceiling] = math.log1p(-FLAWED) + (math.log(piled / rows.sum()) if piled else 0.0)
    return float((rows * of_text).sum()) + math.log(_PRIOR[near.reading.formats[0].rounding])


def _printable_share(
    near: Neighbourhoods, printable: tuple[Float64[np.ndarray, " possible"], Float64[np.ndarray, " possible"]]
) -> Float64[np.ndarray, " texts"]:
    """Return which share of what is near each text, and not above the ceiling, can be printed."""
    values, lengths = printable
    below = np.concatenate([[0.0], np.cumsum(lengths)])
    room = below[np.searchsorted(values, near.highs, "right")] - below[np.searchsorted(values, near.lows, "left")]
    # Beyond the ceiling is no gap: that a log ends somewhere says little, and rows that pile up are weighed apart.
    reached = np.minimum(near.highs, values[-1] + lengths[-1] / 2) - np.maximum(near.lows, 0.0)
    return np.asarray(room / np.maximum(reached, np.finfo(np.float64).tiny))
