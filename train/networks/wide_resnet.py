"""The wide residual networks of Zagoruyko and Komodakis 2016, in the two layouts of the public checkpoints."""

from dataclasses import dataclass
from typing import Literal, final

from torch import Tensor, nn
from torch.nn import functional

from purecert.train.networks.limits import MAX_LAYERS
from purecert.train.shapes import Image, Logits

Layout = Literal["block", "layer"]
_STEM_CHANNELS = 16


@dataclass(frozen=True, kw_only=True, slots=True)
class WideResNetConfig:
    """The shape of one network, WRN-depth-widen_factor in the paper."""

    depth: int  # 6n + 4 for n blocks in each of the three stages
    widen_factor: int
    classes: int
    # block: keys block1.layer.0 and fc, convolutions without bias, shortcuts after the first activation.
    # layer: keys layer1.0 and linear, convolutions with bias, shortcuts before it, strides in the second convolution.
    layout: Layout
    in_channels: int = 3
    dropout: float = 0.0  # between the convolutions of a block, in training

    def __post_init__(self) -> None:
        if self.depth < 10 or self.depth % 6 != 4:
            raise ValueError(f"depth must be 6 n + 4 with n >= 1, such as 28, got {self.depth}")
        if self.depth > 6 * MAX_LAYERS:
            raise ValueError(f"expected a depth of at most {6 * MAX_LAYERS}, got {self.depth}")
        if self.widen_factor < 1 or self.in_channels < 1 or self.classes < 2:
            raise ValueError(f"need a positive widen_factor, at least 1 channel and 2 classes, got {self}")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout must be in [0, 1), got {self.dropout}")

    @property
    def has_bias(self) -> bool:
        """Whether convolutions have a bias."""
        return self.layout == "layer"


class WideBlock(nn.Module):
    """norm, ReLU, conv, norm, ReLU, conv, + shortcut."""

    def __init__(self, channels: tuple[int, int], stride: int, config: WideResNetConfig) -> None:
        super().__init__()
        inputs, outputs = channels
        self.layout = config.layout
        first, second = (stride, 1) if config.layout == "block" else (1, stride)
        self.bn1 = nn.BatchNorm2d(inputs)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, first, padding=1, bias=config.has_bias)
        self.dropout = nn.Dropout(config.dropout)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, second, padding=1, bias=config.has_bias)
        self.changes_width = inputs != outputs  # and so does every block with a stride
        if self.changes_width:
            projection = nn.Conv2d(inputs, outputs, 1, stride, bias=config.has_bias)
            if config.layout == "block":
                self.convShortcut = projection
            else:
                self.shortcut = nn.Sequential(projection)

    def forward(self, x: Tensor) -> Tensor:
        activated = functional.relu(self.bn1(x))
        hidden = self.conv1(activated)
        if self.layout == "block":
            hidden = self.dropout(functional.relu(self.bn2(hidden)))
        else:
            hidden = functional.relu(self.bn2(self.dropout(hidden)))
        output: Tensor = self.conv2(hidden) + self._shorten(x, activated)
        return output

    def _shorten(self, x: Tensor, activated: Tensor) -> Tensor:
        if not self.changes_width:
            return x
        projected: Tensor = self.convShortcut(activated) if self.layout == "block" else self.shortcut(x)
        return projected


@final
class WideResNet(nn.Module):
    """Logits of small images."""

    def __init__(self, config: WideResNetConfig) -> None:
        super().__init__()
        self.config = config
        self.conv1 = nn.Conv2d(config.in_channels, _STEM_CHANNELS, 3, padding=1, bias=config.has_bias)
        widths = [_STEM_CHANNELS, *(_STEM_CHANNELS * config.widen_factor * 2**stage for stage in range(3))]
        self.stage_names = tuple(f"{config.layout}{number}" for number in (1, 2, 3))
        for index, name in enumerate(self.stage_names):
            blocks = self._stage((widths[index], widths[index + 1]), 1 if index == 0 else 2)
            self.add_module(name, nn.ModuleDict({"layer": blocks}) if config.layout == "block" else blocks)
        self.bn1 = nn.BatchNorm2d(widths[-1])
        self.head_name = "fc" if config.layout == "block" else "linear"
        self.add_module(self.head_name, nn.Linear(widths[-1], config.classes))
        self._initialise()

    def _stage(self, channels: tuple[int, int], stride: int) -> nn.Sequential:
        first = WideBlock(channels, stride, self.config)
        outputs = channels[1]
        rest = (WideBlock((outputs, outputs), 1, self.config) for _ in range((self.config.depth - 4) // 6 - 1))
        return nn.Sequential(first, *rest)

    def _initialise(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(module.weight)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, x: Image) -> Logits:
        x = self.conv1(x)
        for name in self.stage_names:
            x = self.get_submodule(f"{name}.layer" if self.config.layout == "block" else name)(x)
        x = functional.relu(self.bn1(x))
        logits: Tensor = self.get_submodule(self.head_name)(x.mean(dim=(2, 3)))
        return logits
