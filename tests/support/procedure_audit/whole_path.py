"""Certificates of a class of known probability through everything real: noise kernel, ONNX Runtime, scheduler, counts.

The classifier looks at one pixel: class 1 above a threshold half a grey level off the grid, invalid (NaN) far below it,
class 0 between. Rounded noise decides that as real noise would, so class 1 has probability Phi(margin / s) exactly, and
its true radius is the margin.
"""

import math
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from onnx import helper

from purecert.engine.plans.plan import Plan
from purecert.engine.procedures.outcomes import Abstention, Certificate
from purecert.engine.procedures.spec import SmoothingSpec
from purecert.engine.statistics.bounds import certified_radius, clopper_pearson_lower
from support.linear_truth import certify_images
from support.plans import LABEL_CONSTANTS, label_nodes, write_test_plan
from support.procedure_audit.simulation import Tally
from support.procedure_audit.truth import false_claim_probability, probability_below

_SHAPE = (1, 2, 2)
_PIXEL = 127
_GREY_LEVELS = 255
_INVALID_BELOW = 0.5  # standard deviations below the threshold; the rest of the other side is class 0
_BATCH = 20_000
_ABOVE = 1e-12  # how far the claim lies above the truth: more than any rounding, less than any difference in counts


@dataclass(frozen=True, kw_only=True, slots=True)
class PixelCell:
    """An image whose class 1 makes the claim from ``successes`` of ``n`` draws false by a hair."""

    n: int
    alpha: float
    successes: int
    margin: float  # from the pixel to the threshold, in grey levels

    @property
    def sigma(self) -> float:
        """Return the sigma at which that many successes claim all but nothing more than the margin."""
        in_sigmas = float(certified_radius(1.0, clopper_pearson_lower(self.successes, self.n, self.alpha)))
        return self.margin / (_GREY_LEVELS * in_sigmas) * (1 + _ABOVE)

    @property
    def distance(self) -> float:
        """Return the largest double that is not above the margin in [0, 1] pixel units."""
        exact = Fraction(self.margin) / _GREY_LEVELS
        rounded = float(exact)
        return rounded if Fraction(rounded) <= exact else math.nextafter(rounded, 0)


def pixel_cells(alpha: float, n: int = 100) -> list[PixelCell]:
    """Return images from just above one half to the claim of all draws."""
    bounds = clopper_pearson_lower(np.arange(n + 1), n, alpha)
    least = int(np.argmax(bounds > 0.5))
    counts = sorted({least, least + (n - least) // 3, least + 2 * (n - least) // 3, n - 1, n})
    return [PixelCell(n=n, alpha=alpha, successes=k, margin=0.5 if k == least else 14.5) for k in counts]


def tally_pixel(directory: Path, cell: PixelCell, runs: int, seed: int) -> Tally:
    """Return how often the engine certifies more of ``cell`` than is true."""
    spec = SmoothingSpec(mode="certify", sigma=cell.sigma, n_select=100, n_estimate=cell.n, alpha=cell.alpha)
    images = np.full((runs, *_SHAPE), _PIXEL, np.uint8)
    outcomes = certify_images(_pixel_plan(directory, cell), images, spec, seed=seed, batch=_BATCH, threads=1)
    # Below one half there is nothing to certify: any certificate of another class is false.
    truth = (0.0, cell.distance)
    false = sum(isinstance(o, Certificate) and o.radius > truth[o.predicted] for o in outcomes)
    probability = probability_below(cell.distance, cell.sigma)
    return Tally(
        name=f"one pixel, under the claim from {cell.successes} of {cell.n}",
        n=cell.n,
        alpha=cell.alpha,
        runs=runs,
        claims=sum(not isinstance(outcome, Abstention) for outcome in outcomes),
        false_claims=false,
        expected=runs * false_claim_probability(probability, cell.n, cell.alpha),
    )


def _pixel_plan(directory: Path, cell: PixelCell) -> Plan:
    """Write logits (0, z - t) + 0 * sqrt(z - u): NaN where z < u, which no integer z meets."""
    threshold = _PIXEL - cell.margin
    lowest = math.floor(threshold - _INVALID_BELOW * _GREY_LEVELS * cell.sigma) - 0.5
    first_pixel = np.zeros((math.prod(_SHAPE), 2), np.float32)
    first_pixel[0, 1] = 1
    nodes = [
        helper.make_node("Flatten", ["pixels"], ["flat"]),
        helper.make_node("Gemm", ["flat", "first_pixel", "threshold"], ["sides"]),
        helper.make_node("Gemm", ["flat", "first_alone", "lowest"], ["height"]),
        helper.make_node("Sqrt", ["height"], ["root"]),
        helper.make_node("Mul", ["root", "zero"], ["zero_or_nan_each"]),
        helper.make_node("Add", ["sides", "zero_or_nan_each"], ["logits"]),
        *label_nodes(),
    ]
    constants = {
        "first_pixel": first_pixel,
        "threshold": np.array([0, -threshold], np.float32),
        "first_alone": first_pixel[:, 1:],
        "lowest": np.array([-lowest], np.float32),
        "zero": np.zeros(1, np.float32),
        **LABEL_CONSTANTS,
    }
    return write_test_plan(directory, nodes, constants, _SHAPE, sigma=cell.sigma)
