"""The gate: the votes of a plan on noisy draws of real images, against eager FP32."""

import math
import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from purecert.engine.backends.graph import filled_inputs
from purecert.engine.errors import CheckError, InputError
from purecert.engine.images.datasets import Dataset, spread_places
from purecert.engine.noise.contract import ESTIMATE
from purecert.engine.noise.inputs import noise_of_inputs, row_addresses
from purecert.engine.plans.plan import Parity, Plan
from purecert.export.gate.tally import Tally, check_limits, describe
from purecert.export.gate.voters import EagerVoter, Rows, Voter, has_onnxruntime, open_candidates

DEFAULT_DRAWS = 20_000
MIN_IMAGES = 20  # however few draws are asked for
_MAX_IMAGES = 100  # more would leave each image too few draws to know its majority
_SLOW_SECONDS = 600
_MAX_INVALID = 1e-3  # share of draws without a finite answer in eager FP32 beyond which the model is broken

Talk = Callable[[str], None]
Candidates = Callable[[Plan, float, int], Sequence[Voter]]  # plan, sigma and rows of a batch -> what is compared


def check_images(data: Dataset, shape: tuple[int, ...]) -> None:
    """Refuse ``data`` that the gate cannot draw from.

    Raises:
        InputError: There are fewer than 20 images, or they are not of the graph's ``shape``.
    """
    if data.images.shape[1:] != shape:
        raise InputError(f"expected images of shape {shape} (the model's), {data.name} holds {data.images.shape[1:]}")
    if len(data) < MIN_IMAGES:
        raise InputError(
            f"expected at least {MIN_IMAGES} images for the parity gate, whatever --parity-draws is, "
            f"found {len(data)} in {data.name}; take a larger slice in --data"
        )


def gated_places(images: int) -> NDArray[np.int64]:
    """Return the places of the images that the gate draws from: at most 100 of a data set, evenly spread over it."""
    return spread_places(images, min(_MAX_IMAGES, images))


def run_gate(
    plan: Plan,
    modules: Mapping[float, nn.Module],
    data: Dataset,
    draws: int,
    talk: Talk,
    candidates: Candidates | None = None,
) -> tuple[Parity, ...]:
    """Return what each way to run ``plan`` on this machine loses against eager FP32.

    Args:
        plan: The plan, with its programs in its cache.
        modules: The FP32 module of each sigma.
        data: Where the draws come from: at most 100 images, evenly spread over all.
        draws: Draws over all images and sigmas, rounded up to as many for each.
        talk: Takes what a person should know meanwhile.
        candidates: What is compared; None for the exported program, ONNX Runtime and OpenVINO on the host.

    Raises:
        CheckError: A limit is exceeded, FP16 overflows, or eager FP32 itself has no finite answers.
    """
    if candidates is None and not has_onnxruntime():
        talk("ONNX Runtime is not installed here: the gate runs the exported programs, not the ONNX graphs")
    gate = _Gate(plan, data, draws, talk, candidates or open_candidates)
    for sigma, module in modules.items():
        gate.compare(sigma, module)
    return gate.results(reduced=draws < DEFAULT_DRAWS)


@final
class _Gate:
    """The votes of every candidate, over all sigmas."""

    def __init__(self, plan: Plan, data: Dataset, draws: int, talk: Talk, candidates: Candidates) -> None:
        spread = gated_places(len(data))
        count = len(spread)
        self._plan, self._talk, self._candidates = plan, talk, candidates
        self._images, self._indices = data.images[spread], data.indices[spread]
        self._draws = math.ceil(draws / (count * len(plan.record.graphs)))  # of one image at one sigma
        rows = count * self._draws
        self._batch = min(rows, _batch_rows(plan.record.inputs[0].elements))
        self._pace = _Pace(math.ceil(rows / self._batch) * len(plan.record.graphs), talk)
        self._tallies: dict[str, Tally] = {}
        self._invalid = 0

    def compare(self, sigma: float, module: nn.Module) -> None:
        """Draw at one sigma and count."""
        voters = [EagerVoter(module), *self._candidates(self._plan, sigma, self._batch)]
        batches: list[list[NDArray[np.int32]]] = []
        try:
            for rows in self._noisy_rows(sigma):
                batches.append([voter.labels(rows) for voter in voters])
                self._pace.step()
        finally:
            for voter in voters:
                voter.close()
        shape = (len(self._images), self._draws)
        eager, *others = (np.concatenate(parts).reshape(shape) for parts in zip(*batches, strict=True))
        self._invalid += int((eager < 0).sum())
        for voter, labels in zip(voters[1:], others, strict=True):
            fresh = Tally(backend=voter.backend, executed_precision=voter.executed_precision)
            tally = self._tallies.setdefault(voter.backend, fresh)
            for index, expected, found in zip(self._indices, eager, labels, strict=True):
                tally.add(expected, found, f"image {index} at sigma {sigma}")

    def results(self, *, reduced: bool) -> tuple[Parity, ...]:
        """Return what was counted, or raise CheckError."""
        share = self._invalid / next(iter(self._tallies.values())).draws
        if share > _MAX_INVALID:
            raise CheckError(
                f"expected finite logits from eager FP32, but {share:.1%} of the draws have none; no plan was written: "
                "the model is broken, train or import it again"
            )
        results = []
        most = max(tally.draws for tally in self._tallies.values())
        for tally in self._tallies.values():
            if tally.draws < most:  # a figure of some sigmas would pass for one of all
                self._talk(f"{tally.backend} does not run every sigma here, so it is not measured")
                continue
            results.append(tally.parity(len(self._images), reduced=reduced))
            self._talk(f"parity on {describe(results[-1])} ({tally.worst})")
        for result in results:
            check_limits(result, self._plan.record.precision)
        return tuple(results)

    def _noisy_rows(self, sigma: float) -> Iterator[Rows]:
        """Yield the graph's inputs batch by batch: every draw of the first image, then of the second, and so on."""
        inputs = self._plan.record.inputs
        noise = noise_of_inputs(len(inputs), sigma, secrets.randbits(64), torch.get_num_threads())
        slots, draws = (part.ravel() for part in np.indices((len(self._images), self._draws)))
        addresses = row_addresses(slots, self._indices, ESTIMATE, draws)
        for first in range(0, len(addresses), self._batch):
            yield filled_inputs(inputs, noise, addresses[first : first + self._batch], self._images)


def _batch_rows(elements: int) -> int:
    """Return how many rows of ``elements`` pixels eager FP32 takes at once: few enough for the memory of a laptop."""
    return min(256, max(16, 2**18 // elements))


@final
class _Pace:
    """Says early that the gate will take long."""

    def __init__(self, batches: int, talk: Talk) -> None:
        self._batches, self._talk, self._done, self._began = batches, talk, 0, time.monotonic()

    def step(self) -> None:
        """Hear that one batch is done. The first also pays for what happens once, so the second is the measure."""
        self._done += 1
        now = time.monotonic()
        seconds, self._began = (now - self._began) * self._batches, now
        if self._done == min(2, self._batches) and seconds > _SLOW_SECONDS:
            minutes = math.ceil(seconds / 60)
            self._talk(f"the parity gate will take about {minutes} minutes; --parity-draws N takes fewer draws, marked")
