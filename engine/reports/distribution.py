"""How a run's probabilities and radii are spread over its images: what stands beside every average.

One average hides which images it is made of. A trivial classifier can have an arbitrarily large average certified
radius, and improving what is easy already pays most (Sun, Mao, Mueller and Vechev: Average Certified Radius is a Poor
Metric for Randomized Smoothing, ICML 2025); they propose the distribution of p_A.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from purecert.engine.procedures.outcomes import Certificate
from purecert.engine.procedures.stopping import count_rule
from purecert.engine.records.lines import Line
from purecert.engine.records.run_record import RunRecord
from purecert.engine.reports.text import format_radius
from purecert.engine.statistics.bounds import subtract_budget

MISLEADING = "an average radius alone misleads (Sun, Mao, Mueller and Vechev, ICML 2025)"

QUANTILES = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95)
P_BINS = 20
_BINS_PER_SIGMA = 4
_MOST_BINS = 200  # of a run 34 would do; a log may hold any radius


@dataclass(frozen=True, kw_only=True, slots=True)
class Quantile:
    """The largest value that at most a share of the images stays below: a value of one of them."""

    share: float
    value: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Distribution:
    """Values of all images: quantiles, and how many lie in [edge, next edge) - the last one with its end."""

    quantiles: tuple[Quantile, ...]
    zeros: int  # images of which nothing is proven; they are in the first bin too
    edges: tuple[float, ...]
    counts: tuple[int, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Distributions:
    """Of lower bounds on the right class's probability, and of certified radii (0 where it is wrong or abstains)."""

    p_lower: Distribution | None  # None where a log does not tell sigma
    radius: Distribution


def distributions(p_lower: Sequence[float] | None, radii: Sequence[float], sigma: float) -> Distributions:
    """Return the distributions of values of at least one image.

    Args:
        p_lower: In [0, 1], of every image.
        radii: At least 0, of every image.
        sigma: The noise's; radii are counted in quarters of it, or where that takes too many, in parts of the largest.
    """
    largest, width = max(radii), sigma / _BINS_PER_SIGMA
    bins = min(max(1, math.ceil(largest / width * (1 + 1e-12))), _MOST_BINS)
    edges = np.arange(bins + 1, dtype=np.float64) * float(max(width, largest / bins * (1 + 1e-12)))
    return Distributions(
        p_lower=None if p_lower is None else _distribution(p_lower, np.arange(P_BINS + 1) / P_BINS),
        radius=_distribution(radii, edges),
    )


def distributions_of(record: RunRecord, lines: Sequence[Line]) -> Distributions | None:
    """Return the distributions over labelled ``lines`` of a certification run; None where it has no average radius."""
    if not has_average(record):
        return None
    return distributions(label_bounds(record, lines), right_radii(lines), record.spec.sigma)


def has_average(record: RunRecord) -> bool:
    """Return whether a certification run's radii have an average: not where they say where the draws stopped."""
    return record.spec.stop is None or record.spec.stop.rule != "radii"


def right_radii(lines: Sequence[Line]) -> list[float]:
    """Return each image's certified radius, 0 where its class is not the label or it abstains."""
    return [line.outcome.radius if line.correct and isinstance(line.outcome, Certificate) else 0.0 for line in lines]


def label_bounds(record: RunRecord, lines: Sequence[Line]) -> list[float]:
    """Return the lower bound on each label's probability under ideal noise; each holds with probability 1 - alpha.

    The label is known before the draws, so the second phase bounds it whichever class the first one picked.
    """
    phases = [line.counts[-1] if len(line.counts) == 1 + record.spec.selects else {} for line in lines]
    k = np.array([phase.get(str(line.label), 0) for phase, line in zip(phases, lines, strict=True)], np.int64)
    n = np.array([sum(phase.values()) for phase in phases], np.int64)
    bounds = count_rule(record.spec, record.tv).all_p_lower(k, np.maximum(n, 1))
    shown: list[float] = np.where(n > 0, subtract_budget(bounds, record.tv), 0.0).tolist()
    return shown


def distribution_notes(found: Distributions) -> list[str]:
    """Return what to read beside an average radius."""
    return [*spread_notes(found), MISLEADING]


def spread_notes(found: Distributions) -> list[str]:
    """Return in a line each how radii and probabilities are spread, every value rounded down."""
    notes = [f"radius, by share of the images: {_in_words(found.radius)}"]
    if found.p_lower is not None:
        notes.append(f"p_lower of the right class, likewise: {_in_words(found.p_lower)}")
    return notes


def _in_words(of: Distribution) -> str:
    return ", ".join(f"{each.share * 100:.10g} % up to {format_radius(each.value)}" for each in of.quantiles)


def _distribution(values: Sequence[float], edges: NDArray[np.float64]) -> Distribution:
    ordered = np.sort(np.asarray(values, np.float64))
    # The empirical distribution's own inverse: a value that is there, never one between two.
    places = [max(0, math.ceil(share * len(ordered) - 1e-9) - 1) for share in QUANTILES]
    counts, _ = np.histogram(ordered, edges)
    assert counts.sum() == len(ordered)
    return Distribution(
        quantiles=tuple(Quantile(share=q, value=float(ordered[at])) for q, at in zip(QUANTILES, places, strict=True)),
        zeros=int((ordered == 0).sum()),
        edges=tuple(edges.tolist()),
        counts=tuple(int(count) for count in counts),
    )
