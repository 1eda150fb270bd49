"""Images as a procedure sees them: the probability of each class and of an invalid row, chosen where errors show."""

import math
from dataclasses import dataclass

import numpy as np

from purecert.engine.procedures.certify import certificate
from purecert.engine.procedures.outcomes import Certificate
from purecert.engine.procedures.spec import SmoothingSpec
from purecert.engine.statistics.bounds import clopper_pearson_lower
from support.procedure_audit.truth import probability_below

TRIALS = (100, 1_000, 10_000, 100_000)

# Where a class must not be claimed at all, or hardly: each is (classes ..., invalid rows).
_HALF = (0.5, 0.5, 0.0)
_HAIR = (math.nextafter(0.5, 1), 1 - math.nextafter(0.5, 1), 0.0)  # one class an ulp above half, the other below
_AROUND_HALF = {
    "one half, two classes": _HALF,
    "an ulp from one half": _HAIR,
    "one half, 100 classes": (0.5, *[0.5 / 99] * 99, 0.0),
    "one half, 20 % invalid": (0.5, 0.3, 0.2),
    "ten equal classes": (*[0.1] * 10, 0.0),
    "half of the rows invalid": (0.45, 0.05, 0.5),
}
# Share of successes whose claim is false by a hair, and what part of the remaining rows is invalid.
_UNDER_A_CLAIM = {0.6: 0.0, 0.9: 0.5, 0.99: 0.0, 1.0: 0.0}

_TIES = {
    "two equal classes": _HALF,
    "an ulp from one half": _HAIR,
    "three equal classes": (1 / 3, 1 / 3, 1 / 3, 0.0),
    "ten equal classes": (*[0.1] * 10, 0.0),
    "a class as likely as invalid": (0.4, 0.2, 0.4),
    "two equal of 80 %": (0.4, 0.4, 0.1, 0.1, 0.0),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Cell:
    """One image under one sampling plan."""

    name: str
    spec: SmoothingSpec
    probabilities: tuple[float, ...]  # of each class, and last of an invalid row


def certify_cells(alpha: float, trials: tuple[int, ...] = TRIALS) -> list[Cell]:
    """Return ten images for each n: around one half, and where a claim that can be made is false by a hair."""
    specs = [SmoothingSpec(mode="certify", sigma=0.5, n_select=100, n_estimate=n, alpha=alpha) for n in trials]
    around = [Cell(name=name, spec=s, probabilities=p) for s in specs for name, p in _AROUND_HALF.items()]
    return around + [cell_under_claim(s, share, part) for s in specs for share, part in _UNDER_A_CLAIM.items()]


def cell_under_claim(spec: SmoothingSpec, share: float, invalid_part: float = 0.0) -> Cell:
    """Return the image whose top class makes the claim from about ``share`` of all draws false by a hair.

    There, the procedure errs as often as it ever may: with the probability of that many successes, all but alpha.
    """
    successes = max(round(share * spec.n_estimate), _least_certifying(spec))
    counts = np.array([successes, spec.n_estimate - successes, 0])
    claim = certificate(spec, 0.0, 0, counts)
    assert isinstance(claim, Certificate)
    top = probability_below(claim.radius, spec.sigma)
    rest = 1 - top
    others = (rest * (1 - invalid_part), rest * invalid_part)
    return Cell(name=f"under the claim from {share:.0%}", spec=spec, probabilities=(top, *others))


def predict_cells(alpha: float, trials: tuple[int, ...] = TRIALS) -> list[Cell]:
    """Return six images for each n without a likeliest class, or with one that leads by next to nothing."""
    specs = [SmoothingSpec(mode="predict", sigma=0.5, n_estimate=n, alpha=alpha) for n in trials]
    return [Cell(name=name, spec=spec, probabilities=p) for spec in specs for name, p in _TIES.items()]


def _least_certifying(spec: SmoothingSpec) -> int:
    bounds = clopper_pearson_lower(np.arange(spec.n_estimate + 1), spec.n_estimate, spec.alpha)
    return int(np.argmax(bounds > 0.5)) + 1  # one more, so that its radius is not lost in rounding
