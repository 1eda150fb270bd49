"""Certificates of a linear classifier, whose exact radius is the distance to its plane, through the real engine."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from purecert.engine.backends.base import BackendOptions
from purecert.engine.backends.opening import open_backend
from purecert.engine.noise.inputs import total_variation
from purecert.engine.plans.plan import Plan
from purecert.engine.procedures.certify import certify
from purecert.engine.procedures.outcomes import Certificate, Outcome
from purecert.engine.procedures.spec import SmoothingSpec
from purecert.engine.running.scheduler import Job, Scheduler
from support.plans import linear_plan

_SHAPE = (1, 2, 2)
_WEIGHT = np.array([5, -4, 6, 3], np.float32)  # integers: every sum is exact in FP32, so labels are exact too
_CENTRE = 127  # grey level from which images step towards either side of the plane


@dataclass(frozen=True, kw_only=True, slots=True)
class LinearCases:
    """Images on both sides of the plane, and the exact distance of each."""

    images: NDArray[np.uint8]
    sides: NDArray[np.int64]  # the class of the side that the image lies on
    distances: NDArray[np.float64]  # to the plane, in [0, 1] pixel units


@dataclass(frozen=True, kw_only=True, slots=True)
class LinearResult:
    """What the engine certified of each case; 0 where it abstained."""

    radii: NDArray[np.float64]
    exceeding: int  # certificates that are false: beyond the plane, or of the wrong side
    median_ratio: float  # of certified to exact, over all cases


def certify_linear(directory: Path, *, cases: int, seed: int, n: int, batch: int, threads: int) -> LinearResult:
    """Certify ``cases`` images with margins uniform in [.5, 3] sigma and compare with the exact distances."""
    spec = SmoothingSpec(mode="certify", sigma=0.25, n_select=100, n_estimate=n, alpha=1e-3)
    threshold = float(_WEIGHT.sum() * _CENTRE) + 0.5
    plan = linear_plan(directory, _WEIGHT, threshold, _SHAPE, sigma=spec.sigma)
    made = _make_cases(cases, seed, spec.sigma, threshold)
    outcomes = certify_images(plan, made.images, spec, seed=seed, batch=batch, threads=threads)
    radii = np.array([outcome.radius if isinstance(outcome, Certificate) else 0.0 for outcome in outcomes])
    predicted = np.array([outcome.predicted if isinstance(outcome, Certificate) else -1 for outcome in outcomes])
    wrong_side = (predicted >= 0) & (predicted != made.sides)
    exceeding = int(np.sum(wrong_side | (radii > made.distances)))
    return LinearResult(radii=radii, exceeding=exceeding, median_ratio=float(np.median(radii / made.distances)))


def certify_images(
    plan: Plan, images: NDArray[np.uint8], spec: SmoothingSpec, *, seed: int, batch: int, threads: int
) -> Sequence[Outcome]:
    """Return what the engine certifies of each of ``images`` [m, C, H, W]: real noise, ONNX Runtime, real counting."""
    options = BackendOptions(batch=batch, threads=threads)
    with closing(open_backend(plan, spec.sigma, seed, options, images, np.arange(len(images)))) as backend:
        return [finished.outcome for finished in Scheduler(backend).run(_jobs(images, spec))]


def _jobs(images: NDArray[np.uint8], spec: SmoothingSpec) -> Iterator[Job]:
    tv = total_variation([images[0].size], spec.sigma)
    for index, pixels in enumerate(images):
        yield Job(image_index=index, pixels=pixels, procedure=certify(spec, tv))


def _make_cases(cases: int, seed: int, sigma: float, threshold: float) -> LinearCases:
    generator = np.random.default_rng(seed)
    direction = _WEIGHT / np.linalg.norm(_WEIGHT)
    steps = generator.uniform(0.5, 3, cases) * sigma * 255 * generator.choice([-1, 1], cases)
    along = generator.normal(size=(cases, len(direction))) * 5
    along -= np.outer(along @ direction, direction)
    images = np.clip(np.rint(_CENTRE + np.outer(steps, direction) + along), 0, 255).astype(np.uint8)
    signed = (images.astype(np.float64) @ _WEIGHT - threshold) / (255 * np.linalg.norm(_WEIGHT))
    return LinearCases(
        images=images.reshape(cases, *_SHAPE), sides=(signed > 0).astype(np.int64), distances=np.abs(signed)
    )
