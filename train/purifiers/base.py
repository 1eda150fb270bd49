"""What every purifier offers, and the one formula of all that call their network once.

Images are on the [-1, 1] scale, where pixel noise of std sigma has a std of 2 sigma. Times and the constants made
from them are Python floats, so that half precision cannot lose them and an exported graph holds them as constants.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import NamedTuple, final

import torch
from torch import Tensor, nn

from purecert.train.shapes import FreshNoise, Image


class Purifier(nn.Module, ABC):
    """Removes Gaussian noise of a known level in a fixed number of network calls."""

    @property
    @abstractmethod
    def time_rule(self) -> str:
        """How a noise level becomes the network's time, as plans record it."""

    @abstractmethod
    def timestep(self, sigma: float) -> float | None:
        """Return the time used at pixel noise ``sigma``, as plans record it; None where the purifier takes none.

        Raises:
            InputError: The purifier was not made for this noise.
        """

    @abstractmethod
    def noise_inputs(self, sigma: float) -> tuple[int, ...]:
        """Return how many standard normal images each extra input of ``forward`` holds; empty where it has none."""

    @abstractmethod
    def forward(self, noisy: Image, sigma: float, noises: Sequence[FreshNoise] = ()) -> Image:
        """Return the clean images, [batch, C, H, W] on the [-1, 1] scale.

        Args:
            noisy: Images on the [-1, 1] scale plus noise of std ``2 sigma``.
            sigma: Noise std in [0, 1] pixel units; a constant of the graph.
            noises: One standard normal tensor [batch, k, C, H, W] for each k of ``noise_inputs(sigma)``.
        """


class ManyStepsPurifier(Purifier):
    """A purifier that calls its network several times, each at a time that sigma alone decides."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    @abstractmethod
    def labels(self, sigma: float) -> tuple[float, ...]:
        """Return the time inputs that the network gets at pixel noise ``sigma``, each once."""


class Step(NamedTuple):
    """The constants of D(x) = skip x + out F(inp x + inp_shift, label) + shift, at one noise level."""

    skip: float
    out: float
    inp: float
    label: float  # the network's time input
    inp_shift: float = 0.0
    shift: float = 0.0
    has_variance: bool = False  # F gives as many channels again after the image's own: a learned variance, left out


class OneStepPurifier(Purifier):
    """A purifier of one network call; a family says which constants it takes."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    @property
    @abstractmethod
    def clips(self) -> bool:
        """Whether the clean image is limited to [-1, 1]."""

    @abstractmethod
    def step(self, sigma: float) -> Step:
        """Return the constants at pixel noise ``sigma``.

        Raises:
            InputError: The purifier was not made for this noise.
        """

    def noise_inputs(self, sigma: float) -> tuple[int, ...]:
        return ()

    def forward(self, noisy: Image, sigma: float, noises: Sequence[FreshNoise] = ()) -> Image:
        clean = apply_step(self.network, self.step(sigma), noisy)
        return clean.clamp(-1, 1) if self.clips else clean


def apply_step(network: nn.Module, step: Step, noisy: Image) -> Image:
    """Return D(noisy) of the whole batch, see ``Step``."""
    raw = call_at(network, step.inp * noisy + step.inp_shift, step.label)
    return step.skip * noisy + step.out * _image_part(raw, noisy, step.has_variance) + step.shift


def apply_steps(network: nn.Module, steps: Sequence[Step], noisy: Image) -> Image:
    """Return D(noisy) with constants of its own for each image, as training needs; see ``Step``."""
    constants = [(step.skip, step.out, step.inp, step.inp_shift, step.shift) for step in steps]
    columns = torch.tensor(constants, dtype=noisy.dtype, device=noisy.device)
    skip, out, inp, inp_shift, shift = columns.T[:, :, None, None, None].unbind()
    labels = torch.tensor([step.label for step in steps], dtype=noisy.dtype, device=noisy.device)
    raw: Tensor = network(inp * noisy + inp_shift, labels)
    return skip * noisy + out * _image_part(raw, noisy, steps[0].has_variance) + shift


def _image_part(raw: Tensor, noisy: Image, has_variance: bool) -> Tensor:
    image, given = list(noisy.shape[1:]), list(raw.shape[1:])
    if has_variance and given != [2 * image[0], *image[1:]]:
        raise ValueError(f"the network must give twice an image's channels {image} for its variance, gave {given}")
    if not has_variance and given != image:  # broadcasting would hide it
        raise ValueError(f"the network must keep an image's shape {image}, gave {given}")
    return raw[:, : image[0]]


@final
class FixedTimes(nn.Module):
    """A network that is asked at known times only, as one network without a time input for each of them."""

    def __init__(self, networks: Mapping[float, nn.Module]) -> None:
        super().__init__()
        self.labels = tuple(networks)
        self.networks = nn.ModuleList(networks.values())

    def forward(self, x: Image, label: float) -> Tensor:
        raw: Tensor = self.networks[self.labels.index(label)](x)
        return raw


def call_at(network: nn.Module, x: Image, label: float) -> Tensor:
    """Return the raw network's answer at one time for the whole batch."""
    is_fixed = isinstance(network, FixedTimes)
    time = label if is_fixed else torch.full((1,), label, dtype=torch.float32, device=x.device)
    raw: Tensor = network(x, time)
    return raw
