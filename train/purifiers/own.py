"""A denoiser of the user's own, of whatever convention it was trained in."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, final, get_args

import torch
from torch import Tensor, nn

from purecert.engine.errors import InputError
from purecert.train.purifiers.base import Purifier
from purecert.train.shapes import FreshNoise, Image

Predicts = Literal["image", "noise", "residual"]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Denoiser:
    """A network that denoises, and the convention that it was trained in.

    With pixels 0 and 255 at ``input_range`` (low, high), noise of sigma has the std s = (high - low) sigma there, and
    the network is asked for ``module(scale(sigma) y, time(sigma))`` of the noisy images y.

    Raises:
        InputError: A value is of the wrong kind.
    """

    module: nn.Module  # [batch, C, H, W] (and times [batch], FP32) to [batch, C, H, W]
    input_range: tuple[float, float] = (-1.0, 1.0)
    predicts: Predicts = "image"  # clean images; "noise": z of y = x + s z; "residual": s z itself
    time: Callable[[float], float] | None = None  # of sigma; None: the module takes images alone
    scale: Callable[[float], float] | None = None  # of sigma, such as sqrt(alpha_bar(t)); None: 1
    clips: bool = True  # limit the clean image to the range

    def __post_init__(self) -> None:
        if not isinstance(self.module, nn.Module):
            raise InputError(f"expected a denoiser that is a torch.nn.Module, got {type(self.module).__name__}")
        if self.predicts not in get_args(Predicts):
            raise InputError(f"expected predicts to be {' or '.join(get_args(Predicts))}, got {self.predicts!r}")
        if len(self.input_range) != 2 or not self.input_range[0] < self.input_range[1]:
            raise InputError(f"expected the denoiser's range (low, high) with low < high, got {self.input_range}")

    def constants(self, sigma: float) -> tuple[float, float | None]:
        """Return scale and time at ``sigma``, pixel noise of [0, 1]; no time where the module takes none.

        Raises:
            InputError: One is no finite number or fails, or the scale is not above 0.
        """
        scale = 1.0 if self.scale is None else _asked(self.scale, "scale", sigma)
        time = None if self.time is None else _asked(self.time, "time", sigma)
        if not (math.isfinite(scale) and scale > 0 and (time is None or math.isfinite(time))):
            raise InputError(f"expected a scale above 0 and a finite time at sigma {sigma}, got {scale} and {time}")
        return scale, time

    def choices(self, sigmas: Sequence[float]) -> tuple[str, ...]:
        """Return the convention in words, a line each, with its numbers at every one of ``sigmas``.

        Raises:
            InputError: As ``constants``.
        """
        low, high = self.input_range
        asked = {sigma: self.constants(sigma) for sigma in sigmas}
        times = ["no time" if time is None else f"time {time:g}" for _, time in asked.values()]
        return (
            f"denoiser's range: pixels 0 and 255 become {low:g} and {high:g}",
            f"denoiser predicts: {self.predicts}, {'limited' if self.clips else 'not limited'} to its range",
            *(f"denoiser at sigma {s:g}: scale {asked[s][0]:g}, {said}" for s, said in zip(asked, times, strict=True)),
        )


def _asked(of: Callable[[float], float], name: str, sigma: float) -> float:
    """Return the number that the user's own function gives."""
    try:
        return float(of(sigma))
    except Exception as error:  # it is anybody's code
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise InputError(f"expected a {name} at sigma {sigma}, a number, got {reason}") from error


@final
class OwnPurifier(Purifier):
    """A ``Denoiser`` as a purifier."""

    def __init__(self, denoiser: Denoiser) -> None:
        super().__init__()
        self.denoiser, self.network = denoiser, denoiser.module

    @property
    def time_rule(self) -> str:
        return "none" if self.denoiser.time is None else "own"

    def timestep(self, sigma: float) -> float | None:
        _, time = self.denoiser.constants(sigma)
        return time

    def noise_inputs(self, sigma: float) -> tuple[int, ...]:
        return ()

    def forward(self, noisy: Image, sigma: float, noises: Sequence[FreshNoise] = ()) -> Image:
        low, high = self.denoiser.input_range
        half, middle = (high - low) / 2, (high + low) / 2
        y = noisy * half + middle
        clean = self._denoised(y, sigma, (high - low) * sigma)
        if self.denoiser.clips:
            clean = clean.clamp(low, high)
        return (clean - middle) / half

    def _denoised(self, y: Image, sigma: float, std: float) -> Image:
        scale, time = self.denoiser.constants(sigma)
        times = () if time is None else (torch.full((y.shape[0],), time, dtype=torch.float32, device=y.device),)
        given: Tensor = self.network(y * scale, *times)
        if given.shape[1:] != y.shape[1:]:  # broadcasting would hide it
            raise InputError(
                f"expected a denoiser that keeps shape {list(y.shape[1:])}, it gave {list(given.shape[1:])}"
            )
        match self.denoiser.predicts:
            case "image":
                return given
            case "noise":
                return y - std * given
            case "residual":
                return y - given
