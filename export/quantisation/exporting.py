"""The INT8 graph of one sigma: scales from noisy real images, layers chosen on others, nothing taken from the gate."""

import secrets
from collections.abc import Sequence

import numpy as np
import torch

from purecert.engine.backends.graph import filled_inputs
from purecert.engine.images.datasets import Dataset
from purecert.engine.noise.contract import SELECT
from purecert.engine.noise.inputs import noise_of_inputs, row_addresses
from purecert.engine.plans.plan import GraphInput
from purecert.export.quantisation.kept_layers import Chosen, Talk, choose_layers
from purecert.export.quantisation.ranges import Rows, measured_ranges

_FOR_RANGES, _FOR_CHOICE = 512, 1024  # noisy rows


def quantise_graph(content: bytes, inputs: Sequence[GraphInput], sigma: float, data: Dataset, talk: Talk) -> Chosen:
    """Return the INT8 form of an FP32 graph of ``sigma``; the last layer stays in FP32.

    Args:
        content: The FP32 graph.
        inputs: Its inputs.
        sigma: Noise std of the rows that scales and layers are chosen on, in [0, 1] pixel units.
        data: Real images, spread evenly over the rows.
        talk: Hears what is being done.

    Raises:
        CheckError: As ``choose_layers``.
    """
    names = [entry.name for entry in inputs]
    ranges = measured_ranges(content, names, _noisy_rows(inputs, sigma, data, _FOR_RANGES))
    return choose_layers(content, names, ranges, _noisy_rows(inputs, sigma, data, _FOR_CHOICE), talk)


def _noisy_rows(inputs: Sequence[GraphInput], sigma: float, data: Dataset, count: int) -> Rows:
    """Return ``count`` rows of images spread over ``data``, under fresh noise."""
    places = np.arange(count) * len(data) // count
    slots = np.arange(count)
    noise = noise_of_inputs(len(inputs), sigma, secrets.randbits(64), torch.get_num_threads())
    addresses = row_addresses(slots, data.indices[places], SELECT, np.zeros(count, np.int64))
    return filled_inputs(inputs, noise, addresses, data.images[places])
