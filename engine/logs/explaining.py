"""The settings that explain a log: draws, alpha, sigma and print format, recovered from the radii it shows."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
from jaxtyping import Bool
from numpy.typing import NDArray

from purecert.engine.logs.fingerprint import TOLERANCE, Sampling, fingerprint, top_of_fingerprint
from purecert.engine.logs.likelihood import Neighbourhoods, log_likelihood, neighbourhoods
from purecert.engine.logs.printing import PrintedRadii, PrintFormat

CANDIDATE_N = (100, 200, 500, 1000, 2000, 5000, 10_000, 20_000, 50_000, 100_000)
CANDIDATE_ALPHA = (0.05, 0.025, 0.01, 0.005, 0.0025, 0.002, 0.001, 0.0005, 0.0001, 0.00001)
CANDIDATE_SIGMA = (0.12, 0.25, 0.5, 1.0)

# Explanations whose odds against the likeliest are below this cannot be told from it.
TELLING_ODDS = 1000.0
# Saying that rows follow from no count accuses somebody. A setting that explains all must be this much less likely.
ACCUSING_ODDS = 1e6
# A first look takes the largest counts only: their radii are far apart, so they refute most settings at once.
_TOP_COUNTS = 256
# A setting that explains fewer rows is no explanation.
_MOST_FLAWED = 0.1


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

    @property
    def explains_every_row(self) -> bool:
        """Return whether some count gives every row."""
        return bool(self.explained.all())


def explanations(
    readings: Sequence[PrintedRadii], n: Sequence[int], alpha: Sequence[float], sigma: Sequence[float]
) -> list[Explanation]:
    """Return every setting that explains most rows of a log, the likeliest first, each ``Sampling`` once.

    Twice, where the likeliest formats of a sampling leave rows unexplained that a much less likely one explains. What
    makes a setting likely is in ``log_likelihood``.

    Args:
        readings: The log's texts, as each candidate format reads them.
        n: Candidates, as the next two.
        alpha: In (0, 1).
        sigma: In [0, 1] pixel units.
    """
    found = [
        explanation
        for near in map(neighbourhoods, readings)
        for sampling in (Sampling(n=each[0], alpha=each[1], sigma=each[2]) for each in product(n, alpha, sigma))
        if _is_possible(near.reading, sampling) and (explanation := _explain(near, sampling))
    ]
    return _ranked(_merged(_ranked(found)))


def possible_settings(ranked: Sequence[Explanation]) -> list[Explanation]:
    """Return those of ``ranked`` that the log leaves open.

    They are the likeliest, and where these leave rows unexplained also those that explain every row, unless these are
    far less likely.
    """
    likely = _within(ranked, TELLING_ODDS)
    if any(each.explains_every_row for each in likely):
        return likely
    return likely + [each for each in _within(ranked, ACCUSING_ODDS)[len(likely) :] if each.explains_every_row]


def _ranked(found: Iterable[Explanation]) -> list[Explanation]:
    return sorted(found, key=lambda each: -each.log_likelihood)


def _within(ranked: Sequence[Explanation], odds: float) -> list[Explanation]:
    """Return those of ``ranked`` whose odds against the first are not below 1 to ``odds``."""
    return [each for each in ranked if each.log_likelihood >= ranked[0].log_likelihood - math.log(odds)]


def _is_possible(reading: PrintedRadii, sampling: Sampling) -> bool:
    """Return whether the largest counts, those that are the furthest apart, refute few rows."""
    top = top_of_fingerprint(sampling.n, sampling.alpha, _TOP_COUNTS)
    if not top.quantiles.size:
        return False
    judged = reading.lows > top.quantiles[0] * sampling.sigma
    least, most = top.counts_between(sampling.sigma, reading.lows[judged], reading.highs[judged])
    return _are_few(int(reading.rows[judged][least > most].sum()), reading)


def _are_few(refuted: int, reading: PrintedRadii) -> bool:
    """Return whether no more than a tenth of the rows are refuted (two, in a short log)."""
    return refuted <= max(2, _MOST_FLAWED * int(reading.rows.sum()))


def _explain(near: Neighbourhoods, sampling: Sampling) -> Explanation | None:
    """Return how a setting accounts for a log; None where it does not for too many rows."""
    reading, marks = near.reading, fingerprint(sampling.n, sampling.alpha)
    least, most = marks.counts_between(sampling.sigma, reading.lows, reading.highs)
    explained = least <= most
    if not _are_few(int(reading.rows[~explained].sum()), reading):
        return None
    radii = marks.radii(sampling.sigma)
    at_ceiling = explained & (most == sampling.n)
    printable = reading.formats[0].possible_texts(radii, TOLERANCE * sampling.sigma)
    return Explanation(
        sampling=sampling,
        formats=reading.formats,
        texts=reading.texts,
        rows=reading.rows,
        least=least,
        most=most,
        rows_at_ceiling=int(reading.rows[at_ceiling].sum()),
        ceiling=float(radii[-1]),
        coverage=min(1.0, float(printable[1].sum()) / float(radii[-1])),
        log_likelihood=log_likelihood(near, explained, at_ceiling, sampling.sigma, printable),
    )


def _merged(ranked: Sequence[Explanation]) -> Iterator[Explanation]:
    """Yield the explanations, those of one sampling by several print formats as one while they cannot be told apart.

    The counts of each text are then those that any of these formats allows.
    """
    by_sampling: dict[Sampling, list[Explanation]] = {}
    for explanation in ranked:
        by_sampling.setdefault(explanation.sampling, []).append(explanation)
    for group in by_sampling.values():
        equal = _within(group, TELLING_ODDS)
        merged = replace(
            group[0],
            formats=tuple(form for each in equal for form in each.formats),
            least=np.min([np.where(each.explained, each.least, each.sampling.n + 1) for each in equal], axis=0),
            most=np.max([np.where(each.explained, each.most, -1) for each in equal], axis=0),
        )
        yield merged
        if not merged.explains_every_row:
            yield from [each for each in group[len(equal) :] if each.explains_every_row][:1]
