"""The networks under LPIPS, as far as it looks into them; weights have the names that torchvision gives them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, final

import torch
from torch import Tensor, nn

LpipsNetwork = Literal["alex", "squeeze", "vgg"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Backbone:
    """One network, and where LPIPS looks into it."""

    title: str
    file: str  # what torchvision calls its published weights
    build: Callable[[], nn.Sequential]
    channels: tuple[int, ...]  # at each place looked at
    taps: tuple[int, ...]  # layers after which LPIPS looks
    smallest: int  # height and width of the least image that leaves something at the last tap


@final
class Fire(nn.Module):
    """A narrow 1x1 convolution, then a 1x1 and a 3x3 one beside each other (Iandola et al. 2016)."""

    def __init__(self, inputs: int, narrow: int, wide: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(inputs, narrow, 1)
        self.expand1x1 = nn.Conv2d(narrow, wide, 1)
        self.expand3x3 = nn.Conv2d(narrow, wide, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.squeeze(x).relu()
        return torch.cat([self.expand1x1(x).relu(), self.expand3x3(x).relu()], dim=1)


def _alexnet() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(3, 64, 11, stride=4, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(3, 2),
        nn.Conv2d(64, 192, 5, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(3, 2),
        nn.Conv2d(192, 384, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(384, 256, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(256, 256, 3, padding=1),
        nn.ReLU(),
    )


def _squeezenet() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(3, 64, 3, stride=2),
        nn.ReLU(),
        nn.MaxPool2d(3, 2, ceil_mode=True),
        Fire(64, 16, 64),
        Fire(128, 16, 64),
        nn.MaxPool2d(3, 2, ceil_mode=True),
        Fire(128, 32, 128),
        Fire(256, 32, 128),
        nn.MaxPool2d(3, 2, ceil_mode=True),
        Fire(256, 48, 192),
        Fire(384, 48, 192),
        Fire(384, 64, 256),
        Fire(512, 64, 256),
    )


def _vgg16() -> nn.Sequential:
    layers: list[nn.Module] = []
    inputs = 3
    for width, depth in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)):
        if layers:
            layers.append(nn.MaxPool2d(2, 2))
        for _ in range(depth):
            layers += [nn.Conv2d(inputs, width, 3, padding=1), nn.ReLU()]
            inputs = width
    return nn.Sequential(*layers)


BACKBONES: Mapping[LpipsNetwork, Backbone] = {
    "alex": Backbone(
        title="AlexNet",
        file="alexnet-owt-7be5be79.pth",
        build=_alexnet,
        channels=(64, 192, 384, 256, 256),
        taps=(1, 4, 7, 9, 11),
        smallest=31,
    ),
    "squeeze": Backbone(
        title="SqueezeNet 1.1",
        file="squeezenet1_1-b8a52dc0.pth",
        build=_squeezenet,
        channels=(64, 128, 256, 384, 384, 512, 512),
        taps=(1, 4, 7, 9, 10, 11, 12),
        smallest=17,
    ),
    "vgg": Backbone(
        title="VGG16",
        file="vgg16-397923af.pth",
        build=_vgg16,
        channels=(64, 128, 256, 512, 512),
        taps=(3, 8, 15, 22, 29),
        smallest=16,
    ),
}
