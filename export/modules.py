"""A plan of any PyTorch module that turns images into logits."""

import math
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import torch
from torch import nn

from purecert.engine.api.numbers import whole
from purecert.engine.api.python_words import python_words
from purecert.engine.errors import InputError
from purecert.engine.images.datasets import Dataset, load_dataset
from purecert.engine.plans.plan import Plan, Precision
from purecert.export.fusing.fuse import fuse, graph_inputs
from purecert.export.gate.parity import DEFAULT_DRAWS, Talk
from purecert.export.own_choices import image_choices
from purecert.export.pipeline import ExportSpec, export_modules, origin_of
from purecert.export.refusals import refusing
from purecert.train.models.checkpoints import Model
from purecert.train.models.preprocessing import Preprocessing, PreprocessingConfig
from purecert.train.purifiers.base import Purifier
from purecert.train.purifiers.identity import IdentityConfig, IdentityPurifier
from purecert.train.purifiers.own import Denoiser, OwnPurifier

PathLike = str | os.PathLike[str]


@python_words(images="data")
def export_module(
    module: nn.Module,
    *,
    sigmas: Sequence[float],
    data: str,
    out: PathLike,
    input_range: tuple[float, float] = (0.0, 1.0),
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    size: int | None = None,
    purifier: Denoiser | Purifier | None = None,
    class_names: Sequence[str] = (),
    precision: Precision = "fp32",
    data_dir: PathLike | None = None,
    parity_draws: int = DEFAULT_DRAWS,
    force: bool = False,
    talk: Talk = lambda line: None,
) -> Plan:
    """Return the plan of ``module``, written to ``out`` after its votes agreed with eager FP32 on noisy real images.

    Args:
        module: Takes FP32 images [batch, channels, height, width] in ``input_range``, normalised by ``mean`` and
            ``std`` where they are given, and returns logits [batch, classes]. It is in eval mode meanwhile. It sees
            noisy images, whose pixels leave the range; or what ``purifier`` makes of them.
        sigmas: Noise standard deviations in pixel units of [0, 1]; one graph each.
        data: Real images for the comparison, by name as ``--data`` takes them; their shape is that of the plan's.
        out: Plan directory to write.
        input_range: What pixels 0 and 255 become, before normalisation.
        mean: Per channel, subtracted in units of ``input_range``.
        std: Per channel, divided by after that.
        size: Height and width that the module takes, if they are not the images'; resized bilinearly.
        purifier: What stands before the module: a denoiser with its convention, or a purifier of this package.
        class_names: Of the classes, in order; none where they have no names.
        precision: "fp32", or "fp16", "bf16" or "int8" for graphs in lower precision.
        data_dir: Where the files of a named data set lie.
        parity_draws: Draws of the comparison; fewer than the default are marked.
        force: Replace a plan that is there.
        talk: Hears what is being done, a line at a time.

    Raises:
        InputError: An argument does not fit the others, ``out`` is not free, or the module does not take such images.
        CheckError: The plan does not vote like eager FP32; nothing is left at ``out``.
    """
    if precision not in get_args(Precision):
        raise InputError(f"expected a precision out of {', '.join(get_args(Precision))}, got {precision!r}")
    if not isinstance(data, str):
        raise InputError(
            f"expected data by name, such as 'npz:FILE', got {type(data).__name__}; save arrays by numpy.savez"
        )
    dataset = load_dataset(data, None if data_dir is None else Path(data_dir))
    draws = whole("parity_draws", parity_draws)
    spec = ExportSpec(sigmas=_numbers("sigmas", sigmas), precision=precision, parity_draws=draws, force=force)
    sees = Sees(input_range=input_range, mean=mean, std=std, size=size)
    before = purifier.module if isinstance(purifier, Denoiser) else purifier
    with modes_kept(module, before):
        model = own_model(module, sees, dataset, spec, purifier=purifier, class_names=tuple(class_names))
        return export_own(model, spec, dataset, Path(out), talk)


@contextmanager
def modes_kept(*modules: object) -> Iterator[None]:
    """Leave every module, and all that it holds, in training or not as it was, whatever is done inside."""
    modes = [(part, part.training) for module in modules if isinstance(module, nn.Module) for part in module.modules()]
    try:
        yield
    finally:
        for part, training in modes:
            part.training = training


@dataclass(frozen=True, kw_only=True, slots=True)
class Sees:
    """What a module takes images as; see ``export_module``."""

    input_range: tuple[float, float] = (0.0, 1.0)
    mean: Sequence[float] | None = None
    std: Sequence[float] | None = None
    size: int | None = None

    def choices(self, shape: tuple[int, int]) -> tuple[str, ...]:
        """Return these numbers as plan.json records them, of images of this height and width."""
        low, high = _numbers("input_range", self.input_range)
        mean, std = (None if v is None else _numbers("mean or std", v) for v in (self.mean, self.std))
        return image_choices((low, high), mean, std, shape, None if self.size is None else whole("size", self.size))

    def normalisation(self, channels: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Return mean and std of each channel, in units of the range; 0 and 1 where none are given.

        Raises:
            InputError: A value does not fit the others or the channels.
        """
        ends = _numbers("input_range", self.input_range)
        low, high = ends if len(ends) == 2 else (0.0, 0.0)
        if not (math.isfinite(low) and math.isfinite(high) and low < high):
            raise InputError(f"expected an input range (low, high) with low < high, got {self.input_range}")
        mean = _per_channel("mean", (0.0,) * channels if self.mean is None else self.mean, channels)
        std = _per_channel("std", (1.0,) * channels if self.std is None else self.std, channels)
        if not (all(map(math.isfinite, mean)) and all(0 < s < math.inf for s in std)):
            raise InputError(f"expected finite means and a std above 0 of each channel, got {mean} and {std}")
        return mean, std

    def preprocessing(self, channels: int) -> Preprocessing:
        """Return what turns images of [-1, 1] into the module's: range and normalisation are one affine map.

        Raises:
            InputError: A value does not fit the others or the channels.
        """
        means, stds = self.normalisation(channels)
        low, high = self.input_range
        size = None if self.size is None else whole("size", self.size)
        mean, std = tuple((m - low) / (high - low) for m in means), tuple(s / (high - low) for s in stds)
        try:
            return Preprocessing(PreprocessingConfig(mean=mean, std=std, size=size)).eval()
        except (TypeError, ValueError) as error:
            raise InputError(f"expected a size of at least 1, got: {error}") from error


def export_own(model: Model, spec: ExportSpec, dataset: Dataset, output: Path, talk: Talk) -> Plan:
    """Return the plan of a model whose network may be any: nothing of it is folded, and what it assumes is said.

    Raises:
        InputError: As ``export_module``.
        CheckError: As ``export_module``.
    """
    for line in model.choices:
        talk(f"chosen: {line}")
    modules = {sigma: fuse(model, sigma) for sigma in spec.sigmas}
    inputs = graph_inputs(model, spec.sigmas, spec.precision)
    return export_modules(modules, inputs, origin_of(model, spec.sigmas), spec, dataset, output, talk)


def _per_channel(name: str, values: Sequence[float], channels: int) -> tuple[float, ...]:
    numbers = _numbers(name, values)
    if len(numbers) != channels:
        raise InputError(f"expected {name} to have a number for each of {channels} channels, got {list(numbers)}")
    return numbers


def _numbers(name: str, values: Sequence[float]) -> tuple[float, ...]:
    try:
        return tuple(float(value) for value in values)
    except (TypeError, ValueError) as error:
        raise InputError(f"expected {name} as several numbers, such as [0.5], got {values!r}") from error


def own_model(
    module: nn.Module,
    sees: Sees,
    dataset: Dataset,
    spec: ExportSpec,
    *,
    purifier: Denoiser | Purifier | None = None,
    class_names: tuple[str, ...] = (),
    source: str = "",
) -> Model:
    """Return ``module`` and what stands before it as one model, tried on two grey images.

    Raises:
        InputError: Module or purifier take no such images, or the module gives no logits.
    """
    if not isinstance(module, nn.Module):
        raise InputError(f"expected a torch.nn.Module, got {type(module).__name__}")
    channels, height, width = (int(length) for length in dataset.images.shape[1:])
    grey, preprocessing = torch.zeros((2, channels, height, width)), sees.preprocessing(channels)
    if not (purifier is None or isinstance(purifier, Denoiser | Purifier)):
        raise InputError(
            f"expected a purifier that is a purecert.Denoiser, got {type(purifier).__name__}; put your network into "
            "one, which says what it takes and predicts"
        )
    choices = sees.choices((height, width))
    if isinstance(purifier, Denoiser):
        choices = (*choices, *purifier.choices(spec.sigmas))
        purifier = OwnPurifier(purifier)
    before = (IdentityPurifier(IdentityConfig()) if purifier is None else purifier).eval()
    _check_purifier(before, grey, spec.sigmas[0])
    module.eval()
    return Model(
        purifier=before,
        classifier=module,
        preprocessing=preprocessing,
        input_shape=(channels, height, width),
        classes=_classes(module, preprocessing(grey), class_names),
        class_names=class_names,
        sources=(source or type(module).__name__,),
        choices=choices,
    )


def _check_purifier(purifier: Purifier, grey: torch.Tensor, sigma: float) -> None:
    noises = [torch.zeros(len(grey), k, *grey.shape[1:]) for k in purifier.noise_inputs(sigma)]
    expected = f"a denoiser of images {list(grey.shape[1:])}"
    with refusing(expected, "try it on two such images first"), torch.no_grad():
        purifier(grey, sigma, noises)


def _classes(module: nn.Module, grey: torch.Tensor, class_names: tuple[str, ...]) -> int:
    """Return how many logits the module gives two grey images."""
    expected = f"a module that takes images of shape {tuple(grey.shape[1:])}"
    with refusing(expected, "try it on two such images first"), torch.no_grad():
        logits = module(grey)
    if not isinstance(logits, torch.Tensor) or logits.ndim != 2 or len(logits) != 2 or logits.shape[1] < 2:
        came = list(logits.shape) if isinstance(logits, torch.Tensor) else type(logits).__name__
        raise InputError(f"expected logits [images, classes] of at least two classes, got {came} for two images")
    classes = int(logits.shape[1])
    if class_names and len(class_names) != classes:
        raise InputError(f"expected {classes} class names or none, got {len(class_names)}")
    return classes
