"""Logs that tell more than radii: the successes of each row, or the bound on its probability in full."""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Bool
from scipy import special

from purecert.engine.logs.explaining import Explanation
from purecert.engine.logs.fingerprint import fingerprint
from purecert.engine.logs.likelihood import FLAWED
from purecert.engine.logs.printing import PrintedRadii
from purecert.engine.logs.reading import PublicLog


def against_counts(ranked: Sequence[Explanation], log: PublicLog) -> list[Explanation]:
    """Return the explanations, the likeliest first, without the texts that a row's own count or bound contradicts.

    A text that several rows share is left unexplained where one of them contradicts it. Each row of such a text costs a
    setting as much as one that follows from no count.
    """
    if not any(row.count is not None or row.p_lower is not None for row in log.certified):
        return list(ranked)
    return sorted((_against_counts(each, log) for each in ranked), key=lambda each: -each.log_likelihood)


def scales(log: PublicLog, readings: Sequence[PrintedRadii]) -> set[float]:
    """Return what the quantiles of the bounds that the log tells were multiplied by, as most rows have it.

    It is sigma, or sigma by the square root of the dimensions where radii are those of another norm. Empty where the
    log tells no bounds.
    """
    quantiles = {row.printed: float(special.ndtri(row.p_lower)) for row in log.certified if row.p_lower is not None}
    found: set[float] = set()
    for reading in readings:
        of_text = np.array([quantiles.get(text, 0.0) for text in reading.texts])
        known = (of_text > 0) & (reading.lows > 0)
        if known.any():
            lows, highs = reading.lows[known] / of_text[known], reading.highs[known] / of_text[known]
            holding = [int(((lows <= low) & (low <= highs)).sum()) for low in lows]
            low = float(lows[int(np.argmax(holding))])
            found.add((low + float(highs[(lows <= low) & (low <= highs)].min())) / 2)
    return found


def _against_counts(each: Explanation, log: PublicLog) -> Explanation:
    refuted = _refuted(each, log)
    return replace(
        each,
        least=np.where(refuted, 1, each.least),
        most=np.where(refuted, 0, each.most),
        log_likelihood=each.log_likelihood + int(each.rows[refuted].sum()) * math.log(FLAWED),
    )


def _refuted(each: Explanation, log: PublicLog) -> Bool[np.ndarray, " texts"]:
    """Return which explained texts stand in a row whose count, or bound, is not one of those that give the text."""
    places = {text: place for place, text in enumerate(each.texts)}
    marks = fingerprint(each.sampling.n, each.sampling.alpha)
    rows = [row for row in log.certified if row.printed is not None]
    at = np.array([places[row.printed or ""] for row in rows], np.int64)
    least, most = each.least[at], each.most[at]
    bounds = np.array([np.nan if row.p_lower is None else row.p_lower for row in rows], np.float64)
    quantiles = special.ndtri(bounds)
    first, last = marks.counts_between(1.0, quantiles, quantiles)
    counts = np.array([-1 if row.count is None else row.count for row in rows], np.int64)
    fits = np.isnan(bounds) | (np.maximum(first, least) <= np.minimum(last, most))
    fits &= (counts < 0) | ((least <= counts) & (counts <= most))
    refuted = np.zeros(len(each.texts), np.bool_)
    refuted[at[~fits]] = True
    return np.asarray(refuted & each.explained)
