"""The settings that explain a log: draws, alpha, sigma and print format, recovered from the radii it shows."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
from jaxtyping import Bool
from numpy.typing import NDArray

from purecert.engine.logs.fingerprint import TOLERANCE, Fingerprint, Sampling, fingerprint, top_of_fingerprint
from purecert.engine.logs.printing import PrintedRadii, PrintFormat

CANDIDATE_N = (100, 200, 500, 1000, 2000, 5000, 10_000, 20_000, 50_000, 100_000)
CANDIDATE_ALPHA = (0.05, 0.025, 0.01, 0.005, 0.0025, 0.002, 0.001, 0.0005, 0.0001, 0.00001)
CANDIDATE_SIGMA = (0.12, 0.25, 0.5, 1.0)

# Explanations whose odds against the likeliest are below this cannot be told from it.
TELLING_ODDS = 1000.0
# Of rows that no count explains (a forgery, a slip of the hand), before the log has been looked at.
_FLAWED = 1e-3
# A first look takes the largest counts only: their radii are far apart, so they refute most settings at once.
_TOP_COUNTS = 256
_TOP_FLAWED = 0.1


@dataclass(frozen=True, kw_only=True, slots=True)
class Explanation:
    """One setting and how it accounts for the texts of a log."""

    sampling: Sampling
    formats: tuple[PrintFormat, ...]
    texts: tuple[str, ...]
    rows: NDArray[np.int64]  # of the log, per text
    least: NDArray[np.int64]  # least count that gives each text
    most: NDArray[np.int64]  # greatest; below ``least`` where no count does
    rows_at_ceiling: int  # whose text is what n successes give
    ceiling: float  # radius of n successes
    coverage: float  # share of the radii up to the ceiling that would be explained if they stood in the log
    log_likelihood: float  # of the texts, up to a constant of the log; compares explanations of one log

    @property
    def explained(self) -> Bool[np.ndarray, " texts"]:
        """Return which texts some count gives."""
        return self.least <= self.most

    @property
    def rows_explained(self) -> int:
        """Return how many rows some count gives."""
        return int(self.rows[self.explained].sum())


def explanations(
    readings: Sequence[PrintedRadii], n: Sequence[int], alpha: Sequence[float], sigma: Sequence[float]
) -> list[Explanation]:
    """Return every setting that could explain most rows of a log, the likeliest first, each ``Sampling`` once.

    Likelihoods take radii to be spread evenly over what a setting can print up to the log's largest radius. Only rows
    whose draws all succeeded pile up at the ceiling of the right setting, and one row in a thousand may be anything. So
    a setting gains by leaving no room for texts that are not there, and by a ceiling that rows stand at.

    Args:
        readings: The log's texts, as each candidate format reads them.
        n: Candidates, as the next two.
        alpha: In (0, 1).
        sigma: In [0, 1] pixel units.
    """
    found = [
        _explain(reading, sampling, fingerprint(sampling.n, sampling.alpha))
        for reading in readings
        for sampling in (Sampling(n=each[0], alpha=each[1], sigma=each[2]) for each in product(n, alpha, sigma))
        if _is_possible(reading, sampling)
    ]
    return list(_merged(sorted(found, key=lambda each: -each.log_likelihood)))


def _is_possible(reading: PrintedRadii, sampling: Sampling) -> bool:
    """Return whether the largest counts contradict no more than a tenth of the rows (two, in a short log)."""
    top = top_of_fingerprint(sampling.n, sampling.alpha, _TOP_COUNTS)
    if not top.quantiles.size:
        return False
    least, most = top.counts_between(sampling.sigma, reading.lows, reading.highs)
    judged = reading.lows > top.quantiles[0] * sampling.sigma
    refuted = reading.rows[judged & (least > most)].sum()
    return bool(refuted <= max(2, _TOP_FLAWED * reading.rows.sum()))


def _explain(reading: PrintedRadii, sampling: Sampling, marks: Fingerprint) -> Explanation:
    least, most = marks.counts_between(sampling.sigma, reading.lows, reading.highs)
    at_ceiling = (least <= most) & (most == sampling.n)
    radii, blur = marks.radii(sampling.sigma), TOLERANCE * sampling.sigma
    width = reading.formats[0].possible_width(radii, blur)
    explanation = Explanation(
        sampling=sampling,
        formats=reading.formats,
        texts=reading.texts,
        rows=reading.rows,
        least=least,
        most=most,
        rows_at_ceiling=int(reading.rows[at_ceiling].sum()),
        ceiling=float(radii[-1]),
        coverage=min(1.0, width / float(radii[-1])),
        log_likelihood=0.0,
    )
    return replace(explanation, log_likelihood=_log_likelihood(explanation, reading, radii, at_ceiling))


def _log_likelihood(
    explanation: Explanation, reading: PrintedRadii, radii: NDArray[np.float64], at_ceiling: NDArray[np.bool_]
) -> float:
    rows = explanation.rows
    blur = TOLERANCE * explanation.sampling.sigma
    is_spread = explanation.explained & ~at_ceiling
    piled, spread = explanation.rows_at_ceiling, int(rows[is_spread].sum())
    largest = float(np.nanmax(reading.highs)) + blur
    room = explanation.formats[0].possible_width(radii[radii <= largest], blur)
    widths = np.fmax(reading.highs - reading.lows, 2 * blur)
    result = float((rows[is_spread] * np.log(widths[is_spread])).sum())
    result += (piled + spread) * math.log1p(-_FLAWED)
    result += sum(part * math.log(part / (piled + spread)) for part in (piled, spread) if part)
    result -= spread * math.log(room) if spread else 0.0
    # A flawed row may be any text up to the largest; one that the format does not print is as narrow as the narrowest.
    flawed = ~explanation.explained
    narrow = np.where(np.isnan(widths), np.nanmin(widths), widths)
    return result + float((rows[flawed] * (np.log(narrow[flawed]) + math.log(_FLAWED / largest))).sum())


def _merged(ranked: Sequence[Explanation]) -> Iterator[Explanation]:
    """Yield the explanations, those of one sampling by several print formats as one while they cannot be told apart.

    The counts of each text are then those that any of these formats allows.
    """
    by_sampling: dict[Sampling, list[Explanation]] = {}
    for explanation in ranked:
        by_sampling.setdefault(explanation.sampling, []).append(explanation)
    for group in by_sampling.values():
        equal = [each for each in group if each.log_likelihood >= group[0].log_likelihood - math.log(TELLING_ODDS)]
        yield replace(
            group[0],
            formats=tuple(form for each in equal for form in each.formats),
            least=np.min([np.where(each.explained, each.least, each.sampling.n + 1) for each in equal], axis=0),
            most=np.max([np.where(each.explained, each.most, -1) for each in equal], axis=0),
        )
