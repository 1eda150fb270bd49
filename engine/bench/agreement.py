"""The labels of the same noisy rows: the rows themselves for a reference, and what a backend calls them."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from purecert.engine.backends.base import MAX_SEGMENTS, Backend, Segment
from purecert.engine.backends.graph import filled_inputs
from purecert.engine.errors import BackendError
from purecert.engine.noise.contract import ESTIMATE
from purecert.engine.noise.inputs import noise_of_inputs, row_addresses
from purecert.engine.plans.plan import Plan

SEED = 0  # a benchmark certifies nothing, so it may repeat its noise

Labels = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Draws:
    """The rows on which labels are compared: the first ``per_image`` draws of each image."""

    images: NDArray[np.uint8]  # [n, C, H, W]
    indices: NDArray[np.int64]  # of the images in the data set: they address the noise
    per_image: int

    def __len__(self) -> int:
        return len(self.images) * self.per_image


@dataclass(frozen=True, kw_only=True, slots=True)
class Agreement:
    """How many labels equal those of eager FP32."""

    draws: int
    images: int
    same: int

    @property
    def share(self) -> float:
        """Return the share of draws with the same label."""
        return self.same / self.draws


def compare(labels: Labels, reference: Labels, draws: Draws) -> Agreement:
    """Return how many of ``labels`` equal the ``reference``, both in the order of ``draws``."""
    assert labels.shape == reference.shape == (len(draws),)
    return Agreement(draws=len(draws), images=len(draws.images), same=int((labels == reference).sum()))


def noisy_rows(plan: Plan, sigma: float, draws: Draws, threads: int, most: int) -> Iterator[list[NDArray[np.generic]]]:
    """Yield the graph's inputs for every draw of the first image, then of the second; up to ``most`` rows at a time."""
    inputs = plan.record.inputs
    noise = noise_of_inputs(len(inputs), sigma, SEED, threads)
    slots, numbers = (part.ravel() for part in np.indices((len(draws.images), draws.per_image)))
    addresses = row_addresses(slots, draws.indices, ESTIMATE, numbers)
    for first in range(0, len(addresses), most):
        yield filled_inputs(inputs, noise, addresses[first : first + most], draws.images)


def backend_labels(backend: Backend, draws: Draws) -> Labels:
    """Return the backend's label of each draw, -1 for an invalid row, in the order of ``noisy_rows``.

    A backend tells counts, not labels: so every draw is a segment of its own. The backend must have been opened with
    ``SEED``.

    Raises:
        BackendError: A draw was not counted exactly once.
    """
    found = []
    for first in range(0, len(draws.images), backend.slots):
        chosen = range(first, min(first + backend.slots, len(draws.images)))
        for slot, image in enumerate(chosen):
            backend.place(slot, int(draws.indices[image]), draws.images[image])
        segments = [
            Segment(slot, ESTIMATE, number, 1) for slot in range(len(chosen)) for number in range(draws.per_image)
        ]
        found += [_labels(backend, part) for part in _parts(segments, min(MAX_SEGMENTS, backend.capacity))]
    return np.concatenate(found)


def _parts(segments: list[Segment], most: int) -> Iterator[list[Segment]]:
    for first in range(0, len(segments), most):
        yield segments[first : first + most]


def _labels(backend: Backend, segments: list[Segment]) -> Labels:
    counts = backend.submit(segments).result()
    if not ((counts >= 0).all() and (counts.sum(axis=1) == 1).all()):
        raise BackendError(f"{backend.info.name} did not count one label for each draw; its counts cannot be trusted")
    labels = counts.argmax(axis=1)
    return np.where(labels == counts.shape[1] - 1, -1, labels)  # the last column counts invalid rows
