"""Purifier and classifier at one sigma as one module, from noisy integers to a label."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Literal

import torch
from torch import Tensor, nn

from purecert.engine.errors import InputError
from purecert.engine.noise.contract import EXTRA_SCALE, GREY_LEVELS
from purecert.engine.plans.plan import GraphInput, Precision
from purecert.train.models.checkpoints import Model
from purecert.train.networks.conditioned import at_sigma
from purecert.train.purifiers.base import Purifier

_INVALID = -1  # the label of a row with a logit that is not finite

_DTYPES: dict[Precision, Literal["float32", "float16"]] = {
    "fp32": "float32",
    "fp16": "float16",
    "bf16": "float32",  # which holds noisy pixels exactly; bf16 rounds integers beyond 256
    "int8": "float32",
}


class PurifiedClassifier(nn.Module):
    """The logits of noisy images on the [-1, 1] scale: purifier at one sigma, preprocessing, classifier."""

    def __init__(self, purifier: Purifier, preprocessing: nn.Module, classifier: nn.Module, sigma: float) -> None:
        """Join the parts; ``sigma`` (pixel units of [0, 1]) becomes a constant of the graph."""
        super().__init__()
        self.purifier, self.preprocessing, self.classifier = purifier, preprocessing, classifier
        self.sigma = sigma

    def forward(self, noisy: Tensor, *noises: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.preprocessing(self.purifier(noisy, self.sigma, noises)))
        return logits


class FusedModel(nn.Module):
    """The graph of a plan: integers in, one label a row out.

    ``network`` turns images on the [-1, 1] scale, times ``scale`` plus ``shift``, and one standard normal
    [batch, k, C, H, W] for each further input, into logits. It computes in ``dtype``; the way into it and
    the logits are FP32.
    """

    def __init__(self, network: nn.Module, *, scale: float = 1.0, shift: float = 0.0) -> None:
        super().__init__()
        self.network = network
        self.dtype = torch.float32
        self.mixed_products: AbstractContextManager[object] = nullcontext()  # entered around the network
        self.pixel_scale, self.pixel_shift = 2 * scale / GREY_LEVELS, shift - scale

    def forward(self, pixels: Tensor, *noises: Tensor) -> tuple[Tensor, Tensor]:
        """Return labels int32 [batch] and logits float32 [batch, classes]; ties go to the lowest class."""
        scaled = pixels.to(torch.float32) * self.pixel_scale + self.pixel_shift
        drawn = [noise.to(torch.float32) / float(EXTRA_SCALE) for noise in noises]
        with self.mixed_products:
            logits = self.network(scaled.to(self.dtype), *(noise.to(self.dtype) for noise in drawn)).to(torch.float32)
        valid = torch.isfinite(logits).all(dim=1)
        label = torch.where(valid, logits.argmax(dim=1), _INVALID).to(torch.int32)
        return label, logits


def fuse(model: Model, sigma: float) -> FusedModel:
    """Return ``model`` at ``sigma`` as one module in eval mode; it shares the model's weights."""
    network = PurifiedClassifier(model.purifier, model.preprocessing, at_sigma(model.classifier, sigma), sigma)
    return FusedModel(network).eval()


def graph_inputs(model: Model, sigmas: Sequence[float], precision: Precision) -> tuple[GraphInput, ...]:
    """Return the inputs that the graphs of ``model`` take.

    Raises:
        InputError: The purifier wants other extra noise at other sigmas.
    """
    wanted = {model.purifier.noise_inputs(sigma) for sigma in sigmas}
    if len(wanted) > 1:
        raise InputError(
            f"expected a purifier with the same extra noise at every sigma, found {sorted(wanted)}; "
            "export one plan per sigma"
        )
    dtype = _DTYPES[precision]
    pixels = GraphInput(name="pixels", shape=model.input_shape, dtype=dtype)
    extras = [
        GraphInput(name=f"noise_{number}", shape=(k, *model.input_shape), dtype=dtype)
        for number, k in enumerate(wanted.pop(), start=1)
    ]
    return (pixels, *extras)
