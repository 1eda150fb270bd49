"""One log checked: which settings explain it, which of its rows they do not, and what its counts certify."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64
from numpy.typing import NDArray

from purecert.engine.errors import InputError
from purecert.engine.logs.accuracy import CertifiedAccuracy, certified_accuracy
from purecert.engine.logs.cohen_tsv import CohenRow
from purecert.engine.logs.counted import against_counts, scales
from purecert.engine.logs.explaining import (
    CANDIDATE_ALPHA,
    CANDIDATE_N,
    CANDIDATE_SIGMA,
    Explanation,
    explanations,
    possible_settings,
)
from purecert.engine.logs.fingerprint import Sampling
from purecert.engine.logs.printing import PrintedRadii, candidate_readings
from purecert.engine.logs.reading import PublicLog, contradictions
from purecert.engine.logs.thinning import radii_of_counts, revival_probability, thinned
from purecert.engine.statistics.bounds import MIN_ALPHA

REPEATS = 100
_LARGEST_N = 10_000_000  # every count's bound is computed


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """What is asked of a log."""

    radii: tuple[float, ...]
    n: int | None = None  # of the log, where it is known; as alpha and sigma
    alpha: float | None = None
    sigma: float | None = None
    thin: int | None = None  # draws to keep
    recertify: float | None = None  # alpha to certify at instead
    seed: int = 0  # of the choice of draws
    every: int = 1  # of the images, those whose index is a multiple of this count for certified accuracy

    def __post_init__(self) -> None:
        """Raise InputError where a value is out of its range."""
        _require("--n", self.n, 1, _LARGEST_N)
        _require("--thin", self.thin, 1, _LARGEST_N)
        _require("--seed", self.seed, 0, 2**64 - 1)
        _require("--every", self.every, 1, 2**63 - 1)
        _require("--alpha", self.alpha, MIN_ALPHA, 0.4999)
        _require("--recertify", self.recertify, MIN_ALPHA, 0.4999)
        _require("--sigma", self.sigma, 1e-6, 1e6)
        if not all(radius >= 0 and math.isfinite(radius) for radius in self.radii):
            raise InputError(f"--radii: expected radii of at least 0 in [0, 1] pixel units, got {list(self.radii)}")

    @property
    def certifies_anew(self) -> bool:
        """Return whether the counts shall be certified otherwise than the log did."""
        return self.thin is not None or self.recertify is not None


@dataclass(frozen=True, kw_only=True, slots=True)
class LogCheck:
    """A log and what follows from it."""

    log: PublicLog
    settings: tuple[Explanation, ...]  # equally good; one: it is named; none: no row certifies, or none is possible
    told_by_name: bool  # only the path's name tells which sigma it is
    less_likely: tuple[Explanation, ...]  # explain as much, at odds below 1 to TELLING_ODDS
    unexplained: tuple[CohenRow, ...]  # of the rows that certify, those that none of the settings explains
    contradictions: tuple[str, ...]
    accuracies: tuple[CertifiedAccuracy, ...]
    revival: float | None  # how probable it is at most that an abstained row would be certified anew

    @property
    def told(self) -> Explanation | None:
        """Return the one setting that explains the log, if there is one."""
        return self.settings[0] if len(self.settings) == 1 else None

    @property
    def refuted_defence(self) -> Explanation | None:
        """Return the likeliest setting that explains every row of a log whose own settings do not, if there is one."""
        whole = (each for each in self.less_likely if each.explains_every_row)
        return next(whole, None) if self.unexplained else None


def check_log(log: PublicLog, question: Question, position: int = 0) -> LogCheck:
    """Return what ``log`` tells; ``position`` sets the random choices of several logs apart."""
    readings = candidate_readings(log.texts)
    ranked = explanations(
        readings,
        n=CANDIDATE_N if question.n is None else (question.n,),
        alpha=CANDIDATE_ALPHA if question.alpha is None else (question.alpha,),
        sigma=_sigmas(log, readings, question),
    )
    ranked = against_counts(ranked, log)
    possible = possible_settings(ranked)
    settings = _with_named_sigma(possible, log)
    told = settings[0] if len(settings) == 1 else None
    second = _second_sampling(log, told, question)
    return LogCheck(
        log=log,
        settings=settings,
        told_by_name=len(settings) < len(possible),
        less_likely=tuple(
            each
            for each in ranked
            if each.rows_explained >= ranked[0].rows_explained and not any(each is other for other in possible)
        ),
        unexplained=_unexplained(log, settings),
        contradictions=tuple(contradictions(log)),
        accuracies=tuple(_accuracies(log, told, second, question, position)),
        revival=None if told is None or second is None else revival_probability(told.sampling, second),
    )


def counted_rows(log: PublicLog, question: Question) -> list[CohenRow]:
    """Return the rows that certified accuracy is counted over.

    Raises:
        InputError: There is none.
    """
    rows = [row for row in log.rows if row.index % question.every == 0]
    if not rows:
        raise InputError(f"--every: {log.path} has no image whose index is a multiple of {question.every}")
    return rows


def _with_named_sigma(possible: Sequence[Explanation], log: PublicLog) -> tuple[Explanation, ...]:
    """Return those of the sigma in the path's name, unless a name alone would leave rows unexplained."""
    named = [each for each in possible if each.sampling.sigma == log.sigma_hint]
    is_whole = [any(each.explains_every_row for each in some) for some in (named, possible)]
    return tuple(named if named and is_whole[0] == is_whole[1] else possible)


def _sigmas(log: PublicLog, readings: Sequence[PrintedRadii], question: Question) -> tuple[float, ...]:
    if question.sigma is not None:
        return (question.sigma,)
    hint = {log.sigma_hint} if log.sigma_hint is not None else set()
    return tuple(sorted({*CANDIDATE_SIGMA, *hint, *scales(log, readings)}))


def _second_sampling(log: PublicLog, told: Explanation | None, question: Question) -> Sampling | None:
    if told is None or not question.certifies_anew:
        return None
    first = told.sampling
    if question.thin is not None and question.thin > first.n:
        raise InputError(f"--thin: {log.path} has {first.n} draws, expected at most as many, got {question.thin}")
    return Sampling(n=question.thin or first.n, alpha=question.recertify or first.alpha, sigma=first.sigma)


def _unexplained(log: PublicLog, settings: Sequence[Explanation]) -> tuple[CohenRow, ...]:
    known = {
        text
        for each in settings
        for text, explained in zip(each.texts, each.explained.tolist(), strict=True)
        if explained
    }
    return tuple(row for row in log.certified if row.printed not in known)


def _accuracies(
    log: PublicLog, told: Explanation | None, second: Sampling | None, question: Question, position: int
) -> list[CertifiedAccuracy]:
    rows = counted_rows(log, question)
    if any(row.correct is None for row in rows):
        return []
    correct = np.array([bool(row.correct) and row.predicted is not None for row in rows], np.bool_)
    printed = np.array([[-1.0 if row.predicted is None else row.radius for row in rows]], np.float64)
    sampling = told.sampling if told else None
    found = [certified_accuracy(log.path, "as printed", sampling, question.radii, correct, printed)]
    if told is None:
        return found
    counts = _least_counts(rows, told)
    found.append(_of_counts(log, "least counts", told.sampling, question, correct, counts[None]))
    if second is not None:
        kept = counts[None]
        if second.n < told.sampling.n:
            kept = thinned(counts, told.sampling.n, second.n, (question.seed, position), REPEATS)
            # A row that abstained, or that no count explains, stays what it was.
            kept = np.where(counts > 0, kept, 0)
        found.append(_of_counts(log, "certified anew", second, question, correct, kept))
    return found


def _least_counts(rows: Sequence[CohenRow], told: Explanation) -> Int64[np.ndarray, " rows"]:
    """Return the least number of successes that each row's radius may stand for, 0 where it certifies nothing."""
    explained = told.explained.tolist()
    least = {
        text: count for text, count, is_one in zip(told.texts, told.least.tolist(), explained, strict=True) if is_one
    }
    return np.array([0 if row.predicted is None else least.get(row.printed or "", 0) for row in rows], np.int64)


def _of_counts(
    log: PublicLog,
    how: str,
    sampling: Sampling,
    question: Question,
    correct: NDArray[np.bool_],
    counts: Int64[np.ndarray, "repeats rows"],
) -> CertifiedAccuracy:
    radii = radii_of_counts(counts, sampling)
    return certified_accuracy(log.path, how, sampling, question.radii, correct, np.where(radii > 0, radii, -1.0))


def _require(option: str, value: float | None, least: float, most: float) -> None:
    if value is not None and not least <= value <= most:
        raise InputError(f"{option}: expected a value in [{least}, {most}], got {value}")
