"""UNet2DModel folders of diffusers whose network is an AdmUNet under other names, such as its consistency models."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from purecert.engine.errors import InputError
from purecert.train.networks.adm.unet import AdmUNet, AdmUNetConfig
from purecert.train.readers.json_files import read_object
from purecert.train.readers.names.diffusers import adm_unet_state
from purecert.train.readers.opened import on_one_line
from purecert.train.readers.safetensors_files import read_safetensors
from purecert.train.readers.torch_files import read_torch
from purecert.train.strict.configuration import build_config
from purecert.train.strict.state import build_empty


@dataclass(frozen=True, kw_only=True, slots=True)
class _UNet2DConfig:
    """The entries of config.json, with the defaults of UNet2DModel in diffusers 0.42."""

    sample_size: int
    in_channels: int = 3
    out_channels: int = 3
    center_input_sample: bool = False
    time_embedding_type: str = "positional"
    time_embedding_dim: int | None = None
    freq_shift: int = 0
    flip_sin_to_cos: bool = True
    down_block_types: tuple[str, ...] = ("DownBlock2D", "AttnDownBlock2D", "AttnDownBlock2D", "AttnDownBlock2D")
    mid_block_type: str | None = "UNetMidBlock2D"
    up_block_types: tuple[str, ...] = ("AttnUpBlock2D", "AttnUpBlock2D", "AttnUpBlock2D", "UpBlock2D")
    block_out_channels: tuple[int, ...] = (224, 448, 672, 896)
    layers_per_block: int = 2
    mid_block_scale_factor: float = 1.0
    downsample_padding: int = 1
    downsample_type: str = "conv"
    upsample_type: str = "conv"
    dropout: float = 0.0
    act_fn: str = "silu"
    attention_head_dim: int | None = 8
    norm_num_groups: int = 32
    attn_norm_num_groups: int | None = None
    norm_eps: float = 1e-5
    resnet_time_scale_shift: str = "default"
    add_attention: bool = True
    class_embed_type: str | None = None
    num_class_embeds: int | None = None
    num_train_timesteps: int | None = None


# What AdmUNet computes. Where an entry may take several values, _check_entries and _build_config say more.
_FIXED: Mapping[str, tuple[Any, ...]] = {
    "center_input_sample": (False,),
    "time_embedding_type": ("positional",),
    "freq_shift": (0,),
    "flip_sin_to_cos": (True,),
    "mid_block_type": ("UNetMidBlock2D",),
    "mid_block_scale_factor": (1.0,),
    "downsample_padding": (1,),
    "downsample_type": ("conv", "resnet"),
    "act_fn": ("silu", "swish"),
    "norm_num_groups": (32,),
    "norm_eps": (1e-5,),
    "resnet_time_scale_shift": ("default", "scale_shift"),
    "add_attention": (True,),
    "class_embed_type": (None,),
}


def read_diffusers(folder: Path) -> tuple[AdmUNetConfig, dict[str, Tensor]]:
    """Return the configuration and the state of the AdmUNet that a folder of diffusers describes.

    Weights are read from ``diffusion_pytorch_model.safetensors``, or else ``diffusion_pytorch_model.bin``.

    Raises:
        InputError: A file is missing or damaged, an entry of the configuration is nothing that AdmUNet does, or a
            weight is missing, left over or of another shape.
    """
    config = read_diffusers_config(folder)
    weights, where = _read_weights(folder)
    network = build_empty(lambda: AdmUNet(config), str(folder / "config.json"))
    return config, adm_unet_state(weights, network, where)


def read_diffusers_config(folder: Path) -> AdmUNetConfig:
    """Return the configuration of the AdmUNet that a folder of diffusers describes.

    Raises:
        InputError: ``config.json`` is missing or damaged, or an entry of it is nothing that AdmUNet does.
    """
    path = folder / "config.json"
    if not path.exists() and (folder / "unet" / "config.json").is_file():
        raise InputError(
            f"{folder}: expected the folder of a network, found a whole pipeline's; give {folder / 'unet'}"
        )
    theirs = build_config(_UNet2DConfig, _read_config(path), str(path))
    _check_entries(theirs, path)
    return _build_config(theirs, path)


def _read_config(path: Path) -> dict[str, Any]:
    values = read_object(path, "the configuration of a UNet2DModel")
    if values.get("_class_name") != "UNet2DModel":
        raise InputError(f"{path}: expected the configuration of a UNet2DModel, found another class's")
    # Names beginning with _ say who wrote the file.
    return {name: value for name, value in values.items() if not name.startswith("_")}


def _read_weights(folder: Path) -> tuple[Mapping[str, Tensor], Path]:
    path = folder / "diffusion_pytorch_model.safetensors"
    if path.exists():
        return read_safetensors(path), path
    path = path.with_suffix(".bin")
    content = read_torch(path)
    if not isinstance(content, dict) or not all(isinstance(value, Tensor) for value in content.values()):
        raise InputError(f"{path}: expected weights by their name")
    return content, path


def _check_entries(theirs: _UNet2DConfig, path: Path) -> None:
    for name, allowed in _FIXED.items():
        if getattr(theirs, name) not in allowed:
            _refuse(path, name, getattr(theirs, name), allowed)
    if theirs.upsample_type != theirs.downsample_type:
        _refuse(path, "upsample_type", theirs.upsample_type, (theirs.downsample_type,))
    width = 4 * theirs.block_out_channels[0] if theirs.block_out_channels else 0
    if theirs.time_embedding_dim not in (None, width):
        _refuse(path, "time_embedding_dim", theirs.time_embedding_dim, (None, width))
    # Without scale and shift, None means as many groups as elsewhere.
    groups = (32,) if theirs.resnet_time_scale_shift == "scale_shift" else (32, None)
    if theirs.attn_norm_num_groups not in groups:
        _refuse(path, "attn_norm_num_groups", theirs.attn_norm_num_groups, groups)


def _build_config(theirs: _UNet2DConfig, path: Path) -> AdmUNetConfig:
    widths, is_resnet = theirs.block_out_channels, theirs.downsample_type == "resnet"
    plain = ("ResnetDownsampleBlock2D", "ResnetUpsampleBlock2D") if is_resnet else ("DownBlock2D", "UpBlock2D")
    attended = _attended(theirs.down_block_types, (plain[0], "AttnDownBlock2D"), path, "down_block_types")
    attended_up = _attended(theirs.up_block_types, (plain[1], "AttnUpBlock2D"), path, "up_block_types")
    if len(attended) != len(widths) or attended_up[::-1] != attended:
        raise InputError(f"{path}: up_block_types must mirror down_block_types, one for each of block_out_channels")
    if not widths or widths[0] < 1 or any(width % widths[0] for width in widths):
        raise InputError(f"{path}: block_out_channels must be multiples of the first, found {list(widths)}")
    try:
        return AdmUNetConfig(
            image_size=theirs.sample_size,
            model_channels=widths[0],
            num_res_blocks=theirs.layers_per_block,
            attention_resolutions=tuple(theirs.sample_size >> level for level, has in enumerate(attended) if has),
            channel_mult=tuple(width // widths[0] for width in widths),
            qkv_order="three-heads-dim",  # adm_unet_state stacks queries, keys and values whole
            in_channels=theirs.in_channels,
            out_channels=theirs.out_channels,
            num_head_channels=theirs.attention_head_dim,
            num_classes=theirs.num_class_embeds or 0,
            use_scale_shift_norm=theirs.resnet_time_scale_shift == "scale_shift",
            resblock_updown=is_resnet,
            dropout=theirs.dropout,
        )
    except ValueError as error:
        raise InputError(f"{path}: {error}") from error


def _attended(types: tuple[str, ...], known: tuple[str, str], path: Path, name: str) -> list[bool]:
    if unknown := [kind for kind in types if kind not in known]:
        _refuse(path, name, unknown[0], known)
    return [kind == known[1] for kind in types]


def _refuse(path: Path, name: str, found: object, allowed: tuple[Any, ...]) -> None:
    values = " or ".join(str(value) for value in allowed)
    raise InputError(f"{path}: {name} is {on_one_line(found)}; AdmUNet does {values}")
