"""The ResNets of He et al. 2016 for small images (their section 4.2)."""

from dataclasses import dataclass
from typing import Literal, final

from torch import Tensor, nn
from torch.nn import functional

from purecert.train.networks.limits import MAX_LAYERS, MAX_LEVELS
from purecert.train.shapes import Image, Logits


@dataclass(frozen=True, kw_only=True, slots=True)
class ResNetConfig:
    """The shape of one network; depth is 2 + 2 sum(blocks)."""

    classes: int
    in_channels: int = 3
    blocks: tuple[int, ...] = (3, 3, 3)  # per stage; every stage after the first halves the image
    widths: tuple[int, ...] = (16, 32, 64)
    shortcut: Literal["pad", "projection"] = "pad"  # options A and B of the paper
    head: Literal["linear", "fc"] = "linear"  # the key of the last layer, which differs between checkpoints

    def __post_init__(self) -> None:
        if len(self.blocks) != len(self.widths) or not self.blocks or min(self.blocks + self.widths) < 1:
            raise ValueError(f"blocks and widths need one positive value per stage, got {self.blocks}, {self.widths}")
        if max(self.blocks) > MAX_LAYERS or len(self.blocks) > MAX_LEVELS:
            raise ValueError(f"expected at most {MAX_LAYERS} blocks in each of {MAX_LEVELS} stages, got {self.blocks}")
        if self.classes < 2 or self.in_channels < 1:
            raise ValueError(f"need at least 2 classes and 1 channel, got {self.classes} and {self.in_channels}")


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut."""

    def __init__(self, inputs: int, outputs: int, stride: int, shortcut: Literal["pad", "projection"]) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.stride = stride
        self.added_channels = outputs - inputs
        changes_shape = stride != 1 or inputs != outputs
        self.downsample = (
            nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))
            if changes_shape and shortcut == "projection"
            else None
        )

    def forward(self, x: Tensor) -> Tensor:
        hidden = functional.relu(self.bn1(self.conv1(x)))
        return functional.relu(self.bn2(self.conv2(hidden)) + self._shorten(x))

    def _shorten(self, x: Tensor) -> Tensor:
        if self.downsample is not None:
            projected: Tensor = self.downsample(x)
            return projected
        if self.stride != 1:
            x = x[:, :, :: self.stride, :: self.stride]
        if not self.added_channels:
            return x
        before = self.added_channels // 2  # zeros on both sides of the channels, as the public checkpoints have it
        return functional.pad(x, (0, 0, 0, 0, before, self.added_channels - before))


@final
class ResNet(nn.Module):
    """Logits of small images."""

    def __init__(self, config: ResNetConfig) -> None:
        super().__init__()
        self.config = config
        self.conv1 = nn.Conv2d(config.in_channels, config.widths[0], 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(config.widths[0])
        for index in range(len(config.widths)):
            self.add_module(f"layer{index + 1}", self._stage(index))
        self.add_module(config.head, nn.Linear(config.widths[-1], config.classes))
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(module.weight)

    def _stage(self, index: int) -> nn.Sequential:
        config, outputs = self.config, self.config.widths[index]
        inputs = config.widths[max(index - 1, 0)]
        first = BasicBlock(inputs, outputs, 1 if index == 0 else 2, config.shortcut)
        rest = (BasicBlock(outputs, outputs, 1, config.shortcut) for _ in range(config.blocks[index] - 1))
        return nn.Sequential(first, *rest)

    def forward(self, x: Image) -> Logits:
        x = functional.relu(self.bn1(self.conv1(x)))
        for index in range(len(self.config.widths)):
            x = self.get_submodule(f"layer{index + 1}")(x)
        logits: Tensor = self.get_submodule(self.config.head)(x.mean(dim=(2, 3)))
        return logits
