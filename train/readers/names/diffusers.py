"""AdmUNet weights under the names of diffusers' UNet2DModel."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from purecert.engine.errors import InputError
from purecert.train.networks.adm.blocks import AdmAttention, AdmResBlock
from purecert.train.networks.adm.unet import AdmUNet
from purecert.train.readers.opened import on_one_line

_BLOCK_PARTS = {
    "in_layers.0": "norm1",
    "in_layers.2": "conv1",
    "emb_layers.1": "time_emb_proj",
    "out_layers.0": "norm2",
    "out_layers.3": "conv2",
    "skip_connection": "conv_shortcut",
}
_ATTENTION_PARTS = {"norm": "group_norm", "qkv": "to_q to_k to_v", "proj_out": "to_out.0"}
_OUTER_PARTS = {
    "time_embed.0": "time_embedding.linear_1",
    "time_embed.2": "time_embedding.linear_2",
    "label_emb": "class_embedding",
    "out.0": "conv_norm_out",
    "out.2": "conv_out",
}


def adm_unet_state(weights: Mapping[str, Tensor], network: AdmUNet, where: Path) -> dict[str, Tensor]:
    """Return the state of ``network`` from weights under the names of UNet2DModel; every one is used exactly once.

    Args:
        weights: The weights by name.
        network: The network, whose shapes count and whose values do not; queries, keys and values lie in three blocks
            ("three-heads-dim").
        where: The file's name, for messages.

    Raises:
        InputError: A weight is missing, left over or of another shape.
    """
    left = dict(weights)
    parts = _layer_names(network)
    state: dict[str, Tensor] = {}
    for key, expected in network.state_dict().items():
        layer, _, kind = key.rpartition(".")
        sources = [f"{name}.{kind}" for name in parts[layer].split()]
        state[key] = _take(left, sources, expected.shape, where)
    if left:
        raise InputError(f"{where}: weight {on_one_line(min(left))} has no place in the network ({len(left)} in all)")
    return state


def _take(left: dict[str, Tensor], names: list[str], shape: torch.Size, where: Path) -> Tensor:
    """Take one weight, or three that are stacked; a linear layer's may stand for a convolution's of size 1."""
    if missing := [name for name in names if name not in left]:
        raise InputError(f"{where}: weight {missing[0]!r} is missing")
    part = [shape[0] // len(names), *shape[1:]]
    linear = part[:2] if all(size == 1 for size in part[2:]) else part
    for name in names:
        if list(left[name].shape) not in (part, linear):
            raise InputError(f"{where}: weight {name!r}: expected shape {part}, found {list(left[name].shape)}")
    return torch.cat([left.pop(name).reshape(part) for name in names])


def _layer_names(network: AdmUNet) -> dict[str, str]:
    """Return the names in diffusers of every layer that has weights, by its name here."""
    names = dict(_OUTER_PARTS)
    for stage, prefix in (*_way_down(network), *_middle(network), *_way_up(network)):
        layer: nn.Module = network.get_submodule(stage)
        parts = {"": ""}
        if isinstance(layer, AdmResBlock | AdmAttention):
            parts = _BLOCK_PARTS if isinstance(layer, AdmResBlock) else _ATTENTION_PARTS
        for ours, theirs in parts.items():
            here = f"{stage}.{ours}" if ours else stage
            names[here] = " ".join(f"{prefix}.{name}" for name in theirs.split()) if theirs else prefix
    return names


def _way_down(network: AdmUNet) -> Iterator[tuple[str, str]]:
    config = network.config
    yield "input_blocks.0.0", "conv_in"
    stage = 1
    for level in range(len(config.channel_mult)):
        for index in range(config.num_res_blocks):
            yield from _residual(config.has_attention(level), f"input_blocks.{stage}", f"down_blocks.{level}", index)
            stage += 1
        if level < len(config.channel_mult) - 1:
            yield _resampler(network, f"input_blocks.{stage}.0", f"down_blocks.{level}.downsamplers.0", "op")
            stage += 1


def _middle(network: AdmUNet) -> Iterator[tuple[str, str]]:
    yield "middle_block.0", "mid_block.resnets.0"
    yield "middle_block.1", "mid_block.attentions.0"
    yield "middle_block.2", "mid_block.resnets.1"


def _way_up(network: AdmUNet) -> Iterator[tuple[str, str]]:
    config = network.config
    levels = len(config.channel_mult)
    for step in range(levels):
        has_attention = config.has_attention(levels - 1 - step)
        for index in range(config.num_res_blocks + 1):
            stage = f"output_blocks.{step * (config.num_res_blocks + 1) + index}"
            yield from _residual(has_attention, stage, f"up_blocks.{step}", index)
        if step < levels - 1:
            yield _resampler(network, f"{stage}.{1 + has_attention}", f"up_blocks.{step}.upsamplers.0", "conv")


def _residual(has_attention: bool, stage: str, block: str, index: int) -> Iterator[tuple[str, str]]:
    yield f"{stage}.0", f"{block}.resnets.{index}"
    if has_attention:
        yield f"{stage}.1", f"{block}.attentions.{index}"


def _resampler(network: AdmUNet, ours: str, theirs: str, convolution: str) -> tuple[str, str]:
    """Return the names of what halves or doubles the image: a residual block, or a module around a convolution."""
    return (ours, theirs) if network.config.resblock_updown else (f"{ours}.{convolution}", f"{theirs}.conv")
