"""SongUNet: the network family of DDPM++, NCSN++ and EDM (Song et al. 2021; Karras et al. 2022)."""

import math
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from purecert.train.networks.limits import MAX_BLOCKS, MAX_LEVELS
from purecert.train.networks.song.blocks import (
    FourierEmbedding,
    PositionalEmbedding,
    Resample2d,
    ResampledConv2d,
    UNetBlock,
    group_norm,
    xavier,
)
from purecert.train.shapes import Image

_SQRT_HALF = math.sqrt(0.5)


@dataclass(frozen=True, kw_only=True, slots=True)
class SongUNetConfig:
    """The shape of one SongUNet, under the names of the published configurations."""

    img_resolution: int  # height and width of the image
    in_channels: int
    out_channels: int
    label_dim: int = 0  # classes of a conditional network, 0 for none
    augment_dim: int = 0  # width of the augmentation labels, 0 for none
    model_channels: int = 128
    channel_mult: tuple[int, ...] = (1, 2, 2, 2)  # per resolution, each half the one before
    channel_mult_emb: int = 4
    num_blocks: int = 4  # residual blocks per resolution
    attn_resolutions: tuple[int, ...] = (16,)
    dropout: float = 0.1
    embedding_type: Literal["positional", "fourier"] = "positional"
    channel_mult_noise: int = 1
    encoder_type: Literal["standard", "skip", "residual"] = "standard"
    decoder_type: Literal["standard", "skip"] = "standard"
    resample_filter: tuple[int, ...] = (1, 1)  # equal pairs: (1, 1) or (1, 3, 3, 1)
    # The published networks keep the next two at their defaults; small fast ones need not.
    bottom_attention: bool = True  # attention in the first block after the lowest resolution
    patch_size: int = 1  # squares of pixels that the network sees as channels of one pixel

    def __post_init__(self) -> None:
        if min(self.img_resolution, self.in_channels, self.out_channels, self.num_blocks) < 1 or not self.channel_mult:
            raise ValueError(f"a network needs positive sizes and at least one resolution, got {self}")
        if min(self.channel_mult_emb, self.channel_mult_noise) < 1 or min(self.label_dim, self.augment_dim) < 0:
            raise ValueError(f"embedding widths must be positive and label widths at least 0, got {self}")
        if self.num_blocks > MAX_BLOCKS or len(self.channel_mult) > MAX_LEVELS:
            raise ValueError(f"expected at most {MAX_BLOCKS} blocks at each of {MAX_LEVELS} resolutions, got {self}")
        if self.model_channels < 4 or self.model_channels % 4 or min(self.channel_mult) < 1:
            raise ValueError(f"model_channels must be a multiple of 4, as norm groups need, got {self.model_channels}")
        if self.patch_size < 1 or self.img_resolution % (self.patch_size * 2 ** (len(self.channel_mult) - 1)):
            raise ValueError(
                f"img_resolution {self.img_resolution} cannot be cut into patches of {self.patch_size} "
                f"and halved {len(self.channel_mult) - 1} times"
            )
        if self.resample_filter not in ((1, 1), (1, 3, 3, 1)):
            raise ValueError(f"resample_filter must be (1, 1) or (1, 3, 3, 1), got {self.resample_filter}")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout must be in [0, 1), got {self.dropout}")

    @property
    def embedding_channels(self) -> int:
        """The width of the noise embedding inside the network."""
        return self.model_channels * self.channel_mult_emb

    def level_channels(self, level: int) -> int:
        """Return the width of the blocks at one resolution, 0 being the image's own."""
        return self.model_channels * self.channel_mult[level]

    def level_size(self, level: int) -> int:
        """Return the height and width of the activations at one resolution."""
        return self.img_resolution // self.patch_size >> level

    def level_name(self, level: int) -> str:
        """Return the prefix of the keys at one resolution, such as 16x16."""
        return f"{self.level_size(level)}x{self.level_size(level)}"

    def block(
        self, inputs: int, outputs: int, *, attention: bool = False, resampling: Literal["up", "down"] | None = None
    ) -> UNetBlock:
        """Return a new residual block with this network's embedding, filter and dropout."""
        return UNetBlock(
            (inputs, outputs),
            self.embedding_channels,
            taps=self.resample_filter,
            dropout=self.dropout,
            attention=attention,
            resampling=resampling,
        )


class Encoder(nn.ModuleDict):
    """The way down. Returns every activation that the way up concatenates, the last being its input."""

    def __init__(self, config: SongUNetConfig) -> None:
        super().__init__()
        self.config = config
        self.skip_channels: list[int] = []
        side = inputs = config.in_channels * config.patch_size**2  # side: channels of the pyramid beside the trunk
        channels = config.model_channels
        for level in range(len(config.channel_mult)):
            if level == 0:
                stem = xavier(nn.Conv2d(inputs, channels, 3, padding=1))
                self[f"{config.level_name(level)}_conv"] = stem
            else:
                self[f"{config.level_name(level)}_down"] = config.block(channels, channels, resampling="down")
                side = self._add_side(config.level_name(level), side, channels)
            self.skip_channels.append(channels)
            channels = self._add_blocks(level, channels)

    def _add_side(self, name: str, side: int, channels: int) -> int:
        taps = self.config.resample_filter
        if self.config.encoder_type == "skip":
            self[f"{name}_aux_down"] = Resample2d(taps, "down")
            self[f"{name}_aux_skip"] = xavier(nn.Conv2d(side, channels, 1))
        elif self.config.encoder_type == "residual":
            self[f"{name}_aux_residual"] = xavier(ResampledConv2d(side, channels, 3, taps, "conv-down"))
            return channels
        return side

    def _add_blocks(self, level: int, channels: int) -> int:
        config = self.config
        attention = config.level_size(level) in config.attn_resolutions
        for index in range(config.num_blocks):
            outputs = config.level_channels(level)
            self[f"{config.level_name(level)}_block{index}"] = config.block(channels, outputs, attention=attention)
            self.skip_channels.append(outputs)
            channels = outputs
        return channels

    def forward(self, x: Tensor, embedding: Tensor | None) -> list[Tensor]:
        side, skips = x, []
        for level in range(len(self.config.channel_mult)):
            name = self.config.level_name(level)
            if level == 0:
                x = self[f"{name}_conv"](x)
            else:
                x, side = self._merge_side(name, self[f"{name}_down"](x, embedding), side)
            skips.append(x)
            for index in range(self.config.num_blocks):
                x = self[f"{name}_block{index}"](x, embedding)
                skips.append(x)
        return skips

    def _merge_side(self, name: str, x: Tensor, side: Tensor) -> tuple[Tensor, Tensor]:
        if self.config.encoder_type == "skip":
            side = self[f"{name}_aux_down"](side)
            return x + self[f"{name}_aux_skip"](side), side
        if self.config.encoder_type == "residual":
            x = (x + self[f"{name}_aux_residual"](side)) * _SQRT_HALF
            return x, x
        return x, side


class Decoder(nn.ModuleDict):
    """The way up: consumes the encoder's activations from the last to the first and returns the image."""

    def __init__(self, config: SongUNetConfig, skip_channels: list[int]) -> None:
        super().__init__()
        self.config = config
        skips = list(skip_channels)
        bottom = len(config.channel_mult) - 1
        channels = config.level_channels(bottom)
        for level in range(bottom, -1, -1):
            name = config.level_name(level)
            if level == bottom:
                self[f"{name}_in0"] = config.block(channels, channels, attention=config.bottom_attention)
                self[f"{name}_in1"] = config.block(channels, channels)
            else:
                self[f"{name}_up"] = config.block(channels, channels, resampling="up")
            attended = config.level_size(level) in config.attn_resolutions
            for index in range(config.num_blocks + 1):
                inputs, channels = channels + skips.pop(), config.level_channels(level)
                attention = attended and index == config.num_blocks
                self[f"{name}_block{index}"] = config.block(inputs, channels, attention=attention)
            self._add_output(level, channels, is_bottom=level == bottom)

    def _add_output(self, level: int, channels: int, *, is_bottom: bool) -> None:
        config, name = self.config, self.config.level_name(level)
        if config.decoder_type == "skip" and not is_bottom:
            self[f"{name}_aux_up"] = Resample2d(config.resample_filter, "up")
        if config.decoder_type == "skip" or level == 0:
            self[f"{name}_aux_norm"] = group_norm(channels)
            outputs = config.out_channels * config.patch_size**2
            self[f"{name}_aux_conv"] = xavier(nn.Conv2d(channels, outputs, 3, padding=1), 1e-5)

    def forward(self, skips: list[Tensor], embedding: Tensor | None) -> Tensor:
        skips = list(skips)
        bottom = len(self.config.channel_mult) - 1
        x = skips[-1]
        image: Tensor | None = None
        for level in range(bottom, -1, -1):
            name = self.config.level_name(level)
            for entry in ("in0", "in1") if level == bottom else ("up",):
                x = self[f"{name}_{entry}"](x, embedding)
            for index in range(self.config.num_blocks + 1):
                x = self[f"{name}_block{index}"](torch.cat([x, skips.pop()], dim=1), embedding)
            if f"{name}_aux_up" in self:
                image = self[f"{name}_aux_up"](image)
            if f"{name}_aux_conv" in self:
                output = self[f"{name}_aux_conv"](functional.silu(self[f"{name}_aux_norm"](x)))
                image = output if image is None else image + output
        assert image is not None  # level 0 always adds an output
        return image


class SongUNet(nn.Module):
    """The raw network F(image, noise label); a purifier wraps it with the preconditioning of its parametrisation."""

    # All None where the effect of one noise level lies in the blocks' biases.
    map_noise: FourierEmbedding | PositionalEmbedding | None
    map_layer0: nn.Linear | None
    map_layer1: nn.Linear | None

    def __init__(self, config: SongUNetConfig) -> None:
        super().__init__()
        self.config = config
        noise_channels = config.model_channels * config.channel_mult_noise
        is_fourier = config.embedding_type == "fourier"
        self.map_noise = FourierEmbedding(noise_channels) if is_fourier else PositionalEmbedding(noise_channels)
        self.map_label = xavier(nn.Linear(config.label_dim, noise_channels)) if config.label_dim else None
        self.map_augment = (
            xavier(nn.Linear(config.augment_dim, noise_channels, bias=False)) if config.augment_dim else None
        )
        self.map_layer0 = xavier(nn.Linear(noise_channels, config.embedding_channels))
        self.map_layer1 = xavier(nn.Linear(config.embedding_channels, config.embedding_channels))
        self.enc = Encoder(config)
        self.dec = Decoder(config, self.enc.skip_channels)

    def forward(
        self,
        x: Image,
        noise_labels: Float[Tensor, " batch_or_1"] | None = None,
        class_labels: Float[Tensor, "batch label_dim"] | None = None,
        augment_labels: Float[Tensor, "batch augment_dim"] | None = None,
    ) -> Float[Tensor, "batch out_channels height width"]:
        """Return F of every image.

        Args:
            x: Scaled noisy images.
            noise_labels: One for the whole batch, or one per image; None where the time is folded into the network.
            class_labels: One-hot rows, where the network has ``label_dim``.
            augment_labels: Rows, where the network has ``augment_dim``; left out means no augmentation.
        """
        embedding: Tensor | None = None
        if self.map_noise is not None:
            if noise_labels is None:
                raise ValueError("this network needs noise labels, one for the whole batch or one per image")
            embedding = self.embed(noise_labels, class_labels, augment_labels).to(x.dtype)
        patches = functional.pixel_unshuffle(x, self.config.patch_size)
        output: Tensor = self.dec(self.enc(patches, embedding), embedding)
        return functional.pixel_shuffle(output, self.config.patch_size)

    def embed(
        self, noise_labels: Tensor, class_labels: Tensor | None, augment_labels: Tensor | None
    ) -> Float[Tensor, "batch_or_1 embedding_channels"]:
        """Return the embedding of noise level and labels."""
        assert self.map_noise is not None  # only a folded network lacks them, and it is given no noise labels
        assert self.map_layer0 is not None
        assert self.map_layer1 is not None
        embedding = self.map_noise(noise_labels).to(self.map_layer0.weight.dtype)
        if self.map_label is not None and class_labels is not None:
            embedding = embedding + self.map_label(class_labels * math.sqrt(self.map_label.in_features))
        if self.map_augment is not None and augment_labels is not None:
            embedding = embedding + self.map_augment(augment_labels)
        embedding = functional.silu(self.map_layer0(embedding))
        return functional.silu(self.map_layer1(embedding))
