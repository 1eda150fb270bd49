"""AdmUNet: the network family of improved-diffusion, guided-diffusion (ADM) and the large consistency models."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from purecert.train.networks.adm.blocks import (
    NORM_GROUPS,
    AdmAttention,
    AdmResBlock,
    Direction,
    Downsample,
    QkvOrder,
    Upsample,
    group_norm,
    sinusoids,
    zeroed,
)
from purecert.train.networks.limits import MAX_BLOCKS, MAX_LEVELS
from purecert.train.shapes import Image


@dataclass(frozen=True, kw_only=True, slots=True)
class AdmUNetConfig:
    """The shape of one AdmUNet, under the names of the published configurations."""

    image_size: int  # height and width of the image
    model_channels: int
    num_res_blocks: int  # residual blocks per resolution on the way down, one more on the way up
    # Heights of the activations that get attention. Published constructors take image_size divided by them.
    attention_resolutions: tuple[int, ...]
    channel_mult: tuple[int, ...]  # per resolution, each half the one before
    # No default: a wrong order gives wrong images and no error where the shapes agree.
    qkv_order: QkvOrder
    in_channels: int = 3
    out_channels: int = 3  # twice in_channels with a learned variance
    num_heads: int = 1
    num_head_channels: int | None = None  # if given, heads are channels divided by this
    num_classes: int = 0  # of a conditional network, 0 for none
    class_token: bool = False  # one learned vector in place of the class embedding
    use_scale_shift_norm: bool = True
    resblock_updown: bool = False  # residual blocks that resample, in place of Downsample and Upsample
    conv_resample: bool = True  # convolutions in Downsample and Upsample
    dropout: float = 0.0

    def __post_init__(self) -> None:
        positive = (self.image_size, self.model_channels, self.num_res_blocks, self.in_channels, self.out_channels)
        if min(positive) < 1 or not self.channel_mult or min(self.channel_mult) < 1:
            raise ValueError(f"a network needs positive sizes and at least one resolution, got {self}")
        if self.num_res_blocks > MAX_BLOCKS or len(self.channel_mult) > MAX_LEVELS:
            raise ValueError(f"expected at most {MAX_BLOCKS} blocks at each of {MAX_LEVELS} resolutions, got {self}")
        if self.image_size % 2 ** (len(self.channel_mult) - 1):
            raise ValueError(f"image_size {self.image_size} cannot be halved {len(self.channel_mult) - 1} times")
        if self.model_channels % 2 or any(self.model_channels * m % NORM_GROUPS for m in self.channel_mult):
            raise ValueError(
                f"model_channels must be even, and a multiple of {NORM_GROUPS} times every channel_mult, "
                f"got {self.model_channels} and {self.channel_mult}"
            )
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout must be in [0, 1), got {self.dropout}")
        if self.num_classes < 0 or (self.num_classes and self.class_token):
            raise ValueError(f"num_classes must be >= 0, and 0 with class_token, got {self.num_classes}")
        self._check_attention()

    def _check_attention(self) -> None:
        sizes = [self.level_size(level) for level in range(len(self.channel_mult))]
        if unknown := [size for size in self.attention_resolutions if size not in sizes]:
            raise ValueError(f"attention_resolutions are heights of activations, among {sizes}, got {unknown[0]}")
        if self.num_heads < 1 or (self.num_head_channels is not None and self.num_head_channels < 1):
            raise ValueError(f"heads need positive sizes, got {self.num_heads} and {self.num_head_channels}")
        attended = [level for level in range(len(sizes)) if self.has_attention(level)] + [len(sizes) - 1]
        for channels in map(self.level_channels, attended):
            if channels % (self.num_head_channels or self.num_heads):
                raise ValueError(f"{channels} channels cannot be divided into the heads of {self}")

    @property
    def embedding_channels(self) -> int:
        """The width of the embedding inside the network."""
        return 4 * self.model_channels

    def level_channels(self, level: int) -> int:
        """Return the width of the blocks at one resolution, 0 being the image's own."""
        return self.model_channels * self.channel_mult[level]

    def level_size(self, level: int) -> int:
        """Return the height and width of the activations at one resolution."""
        return self.image_size >> level

    def has_attention(self, level: int) -> bool:
        """Whether attention follows each residual block at one resolution."""
        return self.level_size(level) in self.attention_resolutions

    def attention(self, channels: int) -> AdmAttention:
        """Return a new attention layer with this network's heads."""
        heads = channels // self.num_head_channels if self.num_head_channels else self.num_heads
        return AdmAttention(channels, heads, self.qkv_order)

    def block(self, inputs: int, outputs: int, resampling: Direction | None = None) -> AdmResBlock:
        """Return a new residual block with this network's embedding and dropout."""
        return AdmResBlock(
            (inputs, outputs),
            self.embedding_channels,
            scale_shift=self.use_scale_shift_norm,
            dropout=self.dropout,
            resampling=resampling,
        )

    def resampler(self, channels: int, direction: Direction) -> nn.Module:
        """Return a new layer that halves or doubles the image."""
        if self.resblock_updown:
            return self.block(channels, channels, direction)
        kind = Downsample if direction == "down" else Upsample
        return kind(channels, convolution=self.conv_resample)

    def stage(self, inputs: int, level: int) -> "Stage":
        """Return a new residual block at one resolution, with attention where that has it."""
        outputs = self.level_channels(level)
        attention = [self.attention(outputs)] if self.has_attention(level) else []
        return Stage([self.block(inputs, outputs), *attention])


class Stage(nn.ModuleList):
    """Layers in a row, of which the residual blocks also take the embedding."""

    def forward(self, x: Tensor, embedding: Tensor | None) -> Tensor:
        for layer in self:
            x = layer(x, embedding) if isinstance(layer, AdmResBlock) else layer(x)
        return x


def _build_way_down(config: AdmUNetConfig) -> tuple[nn.ModuleList, list[int]]:
    """Return the stages, and the width of what each of them gives to the way up."""
    channels = config.level_channels(0)
    stages = [Stage([nn.Conv2d(config.in_channels, channels, 3, padding=1)])]
    widths = [channels]
    for level in range(len(config.channel_mult)):
        if level > 0:
            stages.append(Stage([config.resampler(channels, "down")]))
            widths.append(channels)
        for _ in range(config.num_res_blocks):
            stages.append(config.stage(channels, level))
            channels = config.level_channels(level)
            widths.append(channels)
    return nn.ModuleList(stages), widths


def _build_way_up(config: AdmUNetConfig, widths: list[int]) -> nn.ModuleList:
    widths, stages = list(widths), []
    channels = widths[-1]
    for level in reversed(range(len(config.channel_mult))):
        for _ in range(config.num_res_blocks + 1):
            stages.append(config.stage(channels + widths.pop(), level))
            channels = config.level_channels(level)
        if level > 0:
            stages[-1].append(config.resampler(channels, "up"))
    return nn.ModuleList(stages)


class AdmUNet(nn.Module):
    """The raw network F(image, time, class); a purifier wraps it with the form of its parametrisation.

    The time path may be removed for one fixed embedding: where ``time_embed`` is None the network takes no times and
    no classes, and the layers around each block's former ``emb_layers`` hold what the embedding did.
    """

    class_token: nn.Parameter | None

    def __init__(self, config: AdmUNetConfig) -> None:
        super().__init__()
        self.config = config
        width = config.embedding_channels
        # Registered also where it is None, so that a parameter may take its place.
        self.register_parameter("class_token", nn.Parameter(torch.zeros(width)) if config.class_token else None)
        self.time_embed: nn.Sequential | None = nn.Sequential(
            nn.Linear(config.model_channels, width), nn.SiLU(), nn.Linear(width, width)
        )
        self.label_emb: nn.Embedding | None = nn.Embedding(config.num_classes, width) if config.num_classes else None
        self.input_blocks, widths = _build_way_down(config)
        bottom = widths[-1]
        self.middle_block = Stage(
            [config.block(bottom, bottom), config.attention(bottom), config.block(bottom, bottom)]
        )
        self.output_blocks = _build_way_up(config, widths)
        top = config.level_channels(0)
        last = zeroed(nn.Conv2d(top, config.out_channels, 3, padding=1))
        self.out = nn.Sequential(group_norm(top), nn.SiLU(), last)

    def forward(
        self,
        x: Image,
        times: Float[Tensor, " batch_or_1"] | None = None,
        classes: Int64[Tensor, " batch"] | None = None,
    ) -> Float[Tensor, "batch out_channels height width"]:
        """Return F of every image.

        Args:
            x: Scaled noisy images.
            times: What the sinusoids take, such as 250 ln(sigma) in the consistency models; one for the whole batch,
                or one per image. Left out where the time path is removed.
            classes: Where the network has ``num_classes``.

        Raises:
            ValueError: An input is missing, or the network has no place for it.
        """
        embedding = self._embed_inputs(times, classes)
        embedding = None if embedding is None else embedding.to(x.dtype)
        hidden: Tensor = x
        skips: list[Tensor] = []
        for stage in self.input_blocks:
            hidden = stage(hidden, embedding)
            skips.append(hidden)
        hidden = self.middle_block(hidden, embedding)
        for stage in self.output_blocks:
            hidden = stage(torch.cat([hidden, skips.pop()], dim=1), embedding)
        output: Tensor = self.out(hidden)
        return output

    def _embed_inputs(self, times: Tensor | None, classes: Tensor | None) -> Tensor | None:
        if self.time_embed is None:
            if times is not None or classes is not None:
                raise ValueError("this network's time path is removed: it takes no times and no classes")
            return None
        if times is None:
            raise ValueError("this network needs times, one for the whole batch or one per image")
        return self.embed(times, classes)

    def embed(self, times: Tensor, classes: Tensor | None = None) -> Float[Tensor, "rows embedding_channels"]:
        """Return the embedding of times and classes, in the precision of the layers that make it.

        Raises:
            ValueError: The time path is removed, or classes are missing, or given to a network without them.
        """
        if self.time_embed is None:
            raise ValueError("this network's time path is removed: there is nothing to embed with")
        if (classes is None) != (self.label_emb is None):
            need = f"needs one of {self.config.num_classes} classes per image" if classes is None else "has no classes"
            raise ValueError(f"this network {need}")
        dtype = next(self.time_embed.parameters()).dtype
        embedding: Tensor = self.time_embed(sinusoids(times, self.config.model_channels).to(dtype))
        if self.label_emb is not None:
            embedding = embedding + self.label_emb(classes)
        if self.class_token is not None:
            embedding = embedding + self.class_token
        return embedding
