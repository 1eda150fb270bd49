"""The correlation of every two of 1,448 places: elements, draws, images, streams, seeds, and all of them mixed."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from purecert.engine.noise.table import smoothing_noise
from support.noise_audit.finding import Finding, largest, most_and_least
from support.noise_audit.law import Law, clipped_law
from support.noise_audit.source import NoiseSource
from support.noise_audit.views import EXTREME, views

_PLACES = 1448  # 1,047,628 pairs
_OBSERVATIONS = 4096  # of each place, in one chunk
_TABLE = smoothing_noise(0.25)
_Chunk = NDArray[np.int16]  # [places, observations]


@dataclass(frozen=True, slots=True)
class _Drawing:
    """Where the chunks of one arrangement come from."""

    source: NoiseSource
    seed: int

    def rows(
        self, segments: list[tuple[int, int, int, int]], elements: int, *, purpose: int = 0, seed: int | None = None
    ) -> _Chunk:
        return self.source.rows(_TABLE, segments, elements, seed=self.seed if seed is None else seed, purpose=purpose)

    def elements(self, chunk: int) -> _Chunk:
        """Places: elements of a row. Observations: draws."""
        return self.rows([(5, 1, chunk * _OBSERVATIONS, _OBSERVATIONS)], _PLACES).T

    def draws(self, chunk: int) -> _Chunk:
        """Places: consecutive draws of one image. Observations: elements."""
        return self.rows([(chunk, 1, 1000, _PLACES)], _OBSERVATIONS)

    def images(self, chunk: int) -> _Chunk:
        """Places: consecutive images at one draw. Observations: elements."""
        return self.rows([(image, 1, chunk, 1) for image in range(_PLACES)], _OBSERVATIONS)

    def streams(self, chunk: int) -> _Chunk:
        """Places: both phases of consecutive purposes. Observations: elements."""
        segments = [(7, phase, chunk, 1) for phase in (0, 1)]
        return np.concatenate([self.rows(segments, _OBSERVATIONS, purpose=purpose) for purpose in range(_PLACES // 2)])

    def seeds(self, chunk: int) -> _Chunk:
        """Places: consecutive seeds, and seeds that differ in the high word. Observations: elements."""
        seeds = [self.seed + (number << shift) for shift in (0, 32) for number in range(1, _PLACES // 2 + 1)]
        return np.concatenate([self.rows([(7, 1, chunk, 1)], _OBSERVATIONS, seed=seed) for seed in seeds])

    def mixed(self, chunk: int) -> _Chunk:
        """Places: 8 purposes, 2 phases, 8 images and 11 draws, each with each. Observations: elements."""
        segments = [(8 * chunk + image, phase, 20, 11) for phase, image in product((0, 1), range(8))]
        return np.concatenate([self.rows(segments, _OBSERVATIONS, purpose=purpose) for purpose in range(8)])


ARRANGEMENTS: Mapping[str, Callable[[_Drawing, int], _Chunk]] = {
    "elements": _Drawing.elements,
    "draws": _Drawing.draws,
    "images": _Drawing.images,
    "phases and purposes": _Drawing.streams,
    "seeds": _Drawing.seeds,
    "images, draws, phases and purposes": _Drawing.mixed,
}


def correlation_findings(source: NoiseSource, arrangement: str, chunks: int, *, seed: int) -> list[Finding]:
    """Return the largest correlation of values and of signs, and how often both are extreme, of a million pairs."""
    place = ARRANGEMENTS[arrangement]
    drawing = _Drawing(source, seed)
    return _findings(arrangement, (place(drawing, chunk) for chunk in range(chunks)), clipped_law(_TABLE))


def _findings(name: str, chunks: Iterator[_Chunk], law: Law) -> list[Finding]:
    grams: dict[str, NDArray[np.float64]] = {}
    observations, variances = 0, {}
    for chunk in chunks:
        observations += chunk.shape[1]
        for view in views(chunk, law):
            gram = (view.x @ view.x.T).astype(np.float64)
            grams[view.name] = grams[view.name] + gram if view.name in grams else gram
            variances[view.name] = view.variance
    above = np.triu_indices(len(grams["values"]), 1)
    draws = observations * len(grams["values"])
    correlated = [
        largest(
            f"{name}: correlation of {view}, {above[0].size:,} pairs",
            grams[view][above] / (variances[view] * observations**0.5),
            draws,
        )
        for view in ("values", "signs")
    ]
    # Products of rare events are too skew for a normal law, but their count is binomial.
    both = grams["extremes"][above]
    return [
        *correlated,
        most_and_least(
            f"{name}: both beyond {EXTREME:g} sigma, {both.size:,} pairs",
            both,
            observations,
            law.beyond(EXTREME) ** 2,
            draws,
        ),
    ]
