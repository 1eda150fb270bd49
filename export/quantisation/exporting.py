"""The INT8 graph of one sigma: scales from noisy real images, and the choice of layers that compute in integers.

Neither looks at the images of the parity gate where the data set has others: at least ``_ENOUGH`` beside them.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from purecert.engine.backends.graph import fresh_rows
from purecert.engine.images.datasets import Dataset, spread_places
from purecert.engine.plans.plan import GraphInput
from purecert.export.gate.parity import Talk, gated_places
from purecert.export.quantisation.kept_layers import DRAWS, Chosen, choose_layers
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
    for_ranges, for_choice = (places[spread_places(len(places), count)] for count in (_FOR_RANGES, _FOR_CHOICE))

    def rows(places: NDArray[np.int64]) -> Rows:
        return fresh_rows(inputs, sigma, data.images[places], data.indices[places], torch.get_num_threads())

    ranges = measured_ranges(content, names, rows(for_ranges))
    return choose_layers(content, names, ranges, rows(for_choice.repeat(DRAWS)), talk)


def _places_beside_the_gate(images: int, talk: Talk) -> NDArray[np.int64]:
    """Return the places of images that the gate does not draw from; of all where those are few."""
    others = np.setdiff1d(np.arange(images), gated_places(images))
    if len(others) >= _ENOUGH:
        return others
    talk(f"{images} images are too few to keep the gate's apart: scales and layers are chosen on them too")
    return np.arange(images)
