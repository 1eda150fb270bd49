"""Exact error rates of PREDICT: its p-value in whole numbers, and its answers summed over all counts of three kinds."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from purecert.engine.procedures.drawing import Counts
from purecert.engine.procedures.outcomes import Outcome, Prediction
from purecert.engine.procedures.predict import predict
from purecert.engine.procedures.spec import SmoothingSpec
from purecert.engine.statistics.bounds import equal_odds_p_value

_STEPS = 30  # probabilities are multiples of 1/30, so that halves, thirds and fifths are among them

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, slots=True)
class PValues:
    """How the p-values of all splits of ``n`` votes compare with the exact ones, and the error rate at equal odds."""

    n: int
    too_small: int  # splits whose p-value is below the exact one
    worst_error: dict[float, float]  # alpha -> P(answer) / alpha of two equal classes, to 1e-16


@dataclass(frozen=True, kw_only=True, slots=True)
class WrongAnswers:
    """The largest probability of a wrong answer over images with three kinds of rows."""

    n: int
    alpha: float
    images: int
    third_kind: str  # a class, or invalid rows
    worst: float  # the largest P(wrong answer) / alpha
    worst_image: tuple[float, float, float]


def audit_p_values(n: int, alphas: tuple[float, ...]) -> PValues:
    """Return the comparison for every split of ``n`` votes, made in whole numbers: C(n, k) summed, times 2^-n."""
    too_small, tail, ways = 0, 0, 1
    committed = dict.fromkeys(alphas, 0)
    for top in range(n, n // 2, -1):
        tail, ways = tail + ways, ways * top // (n - top + 1)
        p_value = equal_odds_p_value(top, n - top)
        numerator, denominator = p_value.as_integer_ratio()
        too_small += p_value < 1 and numerator << (n - 1) < tail * denominator
        for alpha in alphas:
            committed[alpha] = tail if p_value <= alpha else committed[alpha]
    # Both classes lead equally often, so an answer has twice the chance of one side's tail.
    rates = {alpha: _ratio(2 * sides, n) / alpha for alpha, sides in committed.items()}
    return PValues(n=n, too_small=too_small, worst_error=rates)


def worst_wrong_answer(n: int, alpha: float, *, invalid: bool) -> WrongAnswers:
    """Return the worst of all images whose rows are of three kinds, the last of them invalid if ``invalid``.

    The answer is wrong unless its class is likelier than each other kind: invalid rows could have been anything.
    """
    counts, images = _splits(n), _splits(_STEPS)
    answers = np.array([_answer(n, alpha, row, invalid) for row in counts])
    chances = np.array([_wrong(n, counts, answers, image / _STEPS, _right(image, invalid)) for image in images])
    worst = int(np.argmax(chances))
    shares = images[worst] / _STEPS
    return WrongAnswers(
        n=n,
        alpha=alpha,
        images=len(images),
        third_kind="invalid rows" if invalid else "a class",
        worst=float(chances[worst] / alpha),
        worst_image=(float(shares[0]), float(shares[1]), float(shares[2])),
    )


def _answer(n: int, alpha: float, row: Counts, invalid: bool) -> int:
    """Return the class that PREDICT answers from ``row``, -1 if none."""
    steps = predict(SmoothingSpec(mode="predict", sigma=0.5, n_estimate=n, alpha=alpha), 0.0)
    next(steps)
    outcome: Outcome | None = None
    try:
        steps.send(row if invalid else np.append(row, 0))
    except StopIteration as end:
        outcome = end.value
    return outcome.predicted if isinstance(outcome, Prediction) else -1


def _right(image: Counts, invalid: bool) -> int:
    """Return the class that leads alone, -2 if there is none."""
    leader = int(np.argmax(image))
    alone = np.count_nonzero(image == image[leader]) == 1
    return leader if alone and not (invalid and leader == 2) else -2


def _wrong(n: int, counts: Counts, answers: Counts, image: Floats, right: int) -> float:
    chance = np.exp(special.gammaln(n + 1) + np.sum(special.xlogy(counts, image) - special.gammaln(counts + 1), axis=1))
    return float(np.sum(chance[(answers >= 0) & (answers != right)]))


def _splits(total: int) -> Counts:
    """Return every way to split ``total`` into three, [ways, 3]."""
    first, second = np.meshgrid(np.arange(total + 1), np.arange(total + 1), indexing="ij")
    kept = first + second <= total
    return np.stack([first[kept], second[kept], total - first[kept] - second[kept]], axis=1)


def _ratio(numerator: int, bits: int) -> float:
    """Return numerator / 2^bits, whose terms may be beyond every double."""
    excess = max(numerator.bit_length() - 64, 0)
    return math.ldexp(float(numerator >> excess), excess - bits)
