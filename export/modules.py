"""A plan of any PyTorch module that turns images into logits."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

import torch
from torch import nn

from purecert.engine.api.python_words import python_words
from purecert.engine.errors import InputError
from purecert.engine.images.datasets import load_dataset
from purecert.engine.plans.plan import GraphInput, Plan, Precision
from purecert.export.fusing.fuse import FusedModel
from purecert.export.gate.parity import DEFAULT_DRAWS, Talk
from purecert.export.pipeline import ExportSpec, Origin, export_modules

PathLike = str | os.PathLike[str]


@python_words(images="data")
def export_module(
    module: nn.Module,
    *,
    sigmas: Sequence[float],
    data: str,
    out: PathLike,
    input_range: tuple[float, float] = (0.0, 1.0),
    precision: Precision = "fp32",
    data_dir: PathLike | None = None,
    parity_draws: int = DEFAULT_DRAWS,
    force: bool = False,
    talk: Talk = lambda line: None,
) -> Plan:
    """Return the plan of ``module``, written to ``out`` after its votes agreed with eager FP32 on noisy real images.

    Args:
        module: Takes FP32 images [batch, channels, height, width] in ``input_range`` and returns logits
            [batch, classes]. It is put into eval mode, normalises by itself, and sees noisy images,
            whose pixels leave the range.
        sigmas: Noise standard deviations in pixel units of [0, 1]; one graph each.
        data: Real images for the comparison, by name as ``--data`` takes them; their shape is that of the plan's.
        out: Plan directory to write.
        input_range: What pixels 0 and 255 become.
        precision: "fp32", or "fp16" for graphs in half precision.
        data_dir: Where the files of a named data set lie.
        parity_draws: Draws of the comparison; fewer than the default are marked.
        force: Replace a plan that is there.
        talk: Hears what is being done, a line at a time.

    Raises:
        InputError: An argument does not fit the others, ``out`` is not free, or the module does not take such images.
        CheckError: The plan does not vote like eager FP32; nothing is left at ``out``.
    """
    _check(module, input_range, precision)
    low, high = input_range
    dataset = load_dataset(data, None if data_dir is None else Path(data_dir))
    shape = tuple(int(size) for size in dataset.images.shape[1:])
    spec = ExportSpec(
        sigmas=tuple(float(sigma) for sigma in sigmas), precision=precision, parity_draws=parity_draws, force=force
    )
    classes = _classes(module, shape, input_range)
    fused = FusedModel(module, scale=(high - low) / 2, shift=(high + low) / 2).eval()
    inputs = (GraphInput(name="pixels", shape=shape, dtype="float16" if precision == "fp16" else "float32"),)
    origin = Origin(classes=classes, purifier="identity", times={}, sources=(type(module).__name__,))
    return export_modules({sigma: fused for sigma in spec.sigmas}, inputs, origin, spec, dataset, Path(out), talk)


def _check(module: nn.Module, input_range: tuple[float, float], precision: str) -> None:
    if not isinstance(module, nn.Module):
        raise InputError(f"expected a torch.nn.Module, got {type(module).__name__}")
    if len(input_range) != 2 or not input_range[0] < input_range[1]:
        raise InputError(f"expected an input range (low, high) with low < high, got {input_range}")
    if precision not in get_args(Precision):
        raise InputError(f"expected a precision out of {', '.join(get_args(Precision))}, got {precision!r}")


def _classes(module: nn.Module, shape: tuple[int, ...], input_range: tuple[float, float]) -> int:
    """Return how many logits the module gives two grey images."""
    grey = torch.full((2, *shape), sum(input_range) / 2)
    try:
        with torch.no_grad():
            logits = module.eval()(grey)
    except (RuntimeError, TypeError, ValueError, LookupError, AttributeError, AssertionError) as error:
        raise InputError(f"expected a module that takes images of shape {shape}, got: {error}") from error
    if not isinstance(logits, torch.Tensor) or logits.ndim != 2 or len(logits) != 2 or logits.shape[1] < 2:
        came = list(logits.shape) if isinstance(logits, torch.Tensor) else type(logits).__name__
        raise InputError(f"expected logits [images, classes] of at least two classes, got {came} for two images")
    return int(logits.shape[1])
