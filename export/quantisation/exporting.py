"""The INT8 graph of one sigma: scales from noisy real images, and the choice of layers that compute in integers.

Neither looks at the images of the parity gate where the data set has others: at least ``_ENOUGH`` beside them.
"""

import secrets
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from purecert.engine.backends.graph import filled_inputs
from purecert.engine.images.datasets import Dataset
from purecert.engine.noise.contract import SELECT
from purecert.engine.noise.inputs import noise_of_inputs, row_addresses
from purecert.engine.plans.plan import GraphInput
from purecert.export.gate.parity import gated_places
from purecert.export.quantisation.kept_layers import DRAWS, Chosen, Talk, choose_layers
from purecert.export.quantisation.ranges import Rows, measured_ranges

_FOR_RANGES, _FOR_CHOICE = 512, 64  # images; the same several times over where there are fewer
_ENOUGH = 100


def quantise_graph(content: bytes, inputs: Sequence[GraphInput], sigma: float, data: Dataset, talk: Talk) -> Chosen:
    """Return the INT8 form of an FP32 graph of ``sigma``; the last layer stays in FP32.

    Args:
        content: The FP32 graph.
        inputs: Its inputs.
        sigma: Noise std of the rows that scales and layers are chosen on, in [0, 1] pixel units.
        data: Real images.
        talk: Hears what is being done.

    Raises:
        CheckError: As ``choose_layers``.
    """
    names = [entry.name for entry in inputs]
    places = _places_beside_the_gate(len(data), talk)
    for_ranges, for_choice = (places[np.arange(count) * len(places) // count] for count in (_FOR_RANGES, _FOR_CHOICE))
    ranges = measured_ranges(content, names, _noisy_rows(inputs, sigma, data, for_ranges))
    rows = _noisy_rows(inputs, sigma, data, for_choice.repeat(DRAWS))
    return choose_layers(content, names, ranges, rows, talk)


def _places_beside_the_gate(images: int, talk: Talk) -> NDArray[np.int64]:
    """Return the places of images that the gate does not draw from; of all where those are few."""
    others = np.setdiff1d(np.arange(images), gated_places(images))
    if len(others) >= _ENOUGH:
        return others
    talk(f"{images} images are too few to keep the gate's apart: scales and layers are chosen on them too")
    return np.arange(images)


def _noisy_rows(inputs: Sequence[GraphInput], sigma: float, data: Dataset, places: NDArray[np.int64]) -> Rows:
    """Return a row of the image at each of ``places``, each under fresh noise."""
    count = len(places)
    noise = noise_of_inputs(len(inputs), sigma, secrets.randbits(64), torch.get_num_threads())
    addresses = row_addresses(np.arange(count), data.indices[places], SELECT, np.arange(count))
    return filled_inputs(inputs, noise, addresses, data.images[places])
