"""A fine-tuned rRCM: one network call makes logits of a noisy image (Lei et al. 2025, arXiv 2501.13094)."""

from dataclasses import dataclass, field
from typing import final

from torch import Tensor, nn

from purecert.train.networks.conditioned import SigmaClassifier
from purecert.train.networks.rrcm.vit import Feature, RrcmVit, RrcmVitConfig
from purecert.train.schedules.noise_levels import NoiseRange, choose_time
from purecert.train.shapes import Image, Logits

_HEAD_STD = 2e-5  # of the head's weights before training


@dataclass(frozen=True, kw_only=True, slots=True)
class RrcmClassifierConfig:
    """A network with a head, and the grid whose nearest point is the network's time."""

    network: RrcmVitConfig
    classes: int
    normalises: bool = False  # the final norm stands before the head: on ImageNet it does, on CIFAR-10 it does not
    levels: NoiseRange = field(default_factory=NoiseRange)
    grid_points: int = 81  # of the end of pre-training

    def __post_init__(self) -> None:
        if self.classes < 2 or self.grid_points < 2:
            raise ValueError(f"need at least 2 classes and grid points, got {self.classes} and {self.grid_points}")


@final
class RrcmClassifier(SigmaClassifier):
    """Logits of noisy images at a known noise level; attribute names are the keys of the fine-tuned files."""

    def __init__(self, config: RrcmClassifierConfig) -> None:
        super().__init__()
        self.config = config
        self.base_model = RrcmVit(config.network)
        self.linear_head = nn.Linear(config.network.width, config.classes)
        nn.init.normal_(self.linear_head.weight, std=_HEAD_STD)
        nn.init.zeros_(self.linear_head.bias)

    def forward(self, noisy: Image, sigma: float) -> Logits:
        """Return the logits.

        Args:
            noisy: Images on the [-1, 1] scale plus noise of std ``2 sigma``.
            sigma: Noise std in [0, 1] pixel units; 0 stands for images without noise.
        """
        logits: Tensor = self.linear_head(self.feature(noisy, sigma))
        return logits

    def feature(self, noisy: Image, sigma: float) -> Feature:
        """Return what the head sees."""
        t = self.timestep(sigma)
        return self.base_model.represent(noisy, t) if self.config.normalises else self.base_model(noisy, t)

    def layer_of(self, parameter: str) -> int:
        """Return how many layers lie above that of the parameter of this name: head and final norm, blocks, tokens."""
        depth = self.config.network.depth
        if parameter.startswith("base_model.blocks."):
            return depth - int(parameter.split(".")[2])
        is_lowest = parameter.startswith(("base_model.cls_token", "base_model.pos_embed", "base_model.patch_embed."))
        return depth + 1 if is_lowest else 0

    def timestep(self, sigma: float) -> float:
        """Return the grid point nearest to 2 sigma, at which the network is asked.

        Raises:
            InputError: The noise is more than the network was trained for.
        """
        return choose_time(sigma, "nearest-2sigma", self.config.levels, self.config.grid_points)
