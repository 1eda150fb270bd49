"""Folders of diffusers map onto AdmUNet one to one, or are refused by the entry that does not map.

That the mapped networks compute the same was checked against diffusers 0.42.1 with random weights: 1.3e-6 at most.
"""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from purecert.engine.errors import InputError
from purecert.train.networks.adm.presets import CONSISTENCY_IMAGENET64
from purecert.train.networks.adm.unet import AdmUNet, AdmUNetConfig
from purecert.train.readers.diffusers_files import read_diffusers, read_diffusers_config
from purecert.train.readers.names.diffusers import adm_unet_state

_CONFIG: dict[str, Any] = {  # the form of openai/diffusers-cd_imagenet64_l2, but small
    "_class_name": "UNet2DModel",
    "_diffusers_version": "0.17.0.dev0",
    "act_fn": "silu",
    "add_attention": True,
    "attention_head_dim": 16,
    "attn_norm_num_groups": 32,
    "block_out_channels": [32, 64],
    "center_input_sample": False,
    "class_embed_type": None,
    "down_block_types": ["ResnetDownsampleBlock2D", "AttnDownBlock2D"],
    "downsample_padding": 1,
    "downsample_type": "resnet",
    "dropout": 0.0,
    "flip_sin_to_cos": True,
    "freq_shift": 0,
    "in_channels": 3,
    "layers_per_block": 1,
    "mid_block_scale_factor": 1,
    "norm_eps": 1e-05,
    "norm_num_groups": 32,
    "num_class_embeds": 10,
    "out_channels": 3,
    "resnet_time_scale_shift": "scale_shift",
    "sample_size": 16,
    "time_embedding_type": "positional",
    "up_block_types": ["AttnUpBlock2D", "ResnetUpsampleBlock2D"],
    "upsample_type": "resnet",
}
_CONVOLUTIONS = {
    "down_block_types": ["DownBlock2D", "AttnDownBlock2D"],
    "up_block_types": ["AttnUpBlock2D", "UpBlock2D"],
    "downsample_type": "conv",
    "upsample_type": "conv",
    "resnet_time_scale_shift": "default",
    "num_class_embeds": None,
}


def _residual(name: str, inputs: int, outputs: int, embedded: int) -> dict[str, list[int]]:
    """Return the shapes of one ResnetBlock2D, written down from its definition."""
    shapes = {
        "norm1.weight": [inputs],
        "norm1.bias": [inputs],
        "conv1.weight": [outputs, inputs, 3, 3],
        "conv1.bias": [outputs],
        "time_emb_proj.weight": [embedded, 128],
        "time_emb_proj.bias": [embedded],
        "norm2.weight": [outputs],
        "norm2.bias": [outputs],
        "conv2.weight": [outputs, outputs, 3, 3],
        "conv2.bias": [outputs],
    }
    if inputs != outputs:
        shapes |= {"conv_shortcut.weight": [outputs, inputs, 1, 1], "conv_shortcut.bias": [outputs]}
    return {f"{name}.{key}": shape for key, shape in shapes.items()}


def _attention(name: str, channels: int) -> dict[str, list[int]]:
    shapes = {f"{name}.group_norm.{kind}": [channels] for kind in ("weight", "bias")}
    for part in ("to_q", "to_k", "to_v", "to_out.0"):
        shapes |= {f"{name}.{part}.weight": [channels, channels], f"{name}.{part}.bias": [channels]}
    return shapes


def _layer(name: str, *shape: int) -> dict[str, list[int]]:
    return {f"{name}.weight": list(shape), f"{name}.bias": [shape[0]]}


def _small_weights(config: dict[str, Any]) -> dict[str, Tensor]:
    """Return weights of UNet2DModel with one residual block per level and widths 32 and 64, of different values."""
    is_resnet = config["downsample_type"] == "resnet"
    factor = 2 if config["resnet_time_scale_shift"] == "scale_shift" else 1
    shapes = _layer("conv_in", 32, 3, 3, 3) | _layer("conv_out", 3, 32, 3, 3)
    shapes |= _layer("time_embedding.linear_1", 128, 32) | _layer("time_embedding.linear_2", 128, 128)
    shapes |= {"conv_norm_out.weight": [32], "conv_norm_out.bias": [32]}
    if config["num_class_embeds"]:
        shapes |= {"class_embedding.weight": [config["num_class_embeds"], 128]}
    blocks = [
        ("down_blocks.0.resnets.0", 32, 32),
        ("down_blocks.1.resnets.0", 32, 64),
        ("mid_block.resnets.0", 64, 64),
        ("mid_block.resnets.1", 64, 64),
        ("up_blocks.0.resnets.0", 128, 64),
        ("up_blocks.0.resnets.1", 96, 64),
        ("up_blocks.1.resnets.0", 96, 32),
        ("up_blocks.1.resnets.1", 64, 32),
    ]
    for name, channels in (("down_blocks.0.downsamplers.0", 32), ("up_blocks.0.upsamplers.0", 64)):
        blocks += [(name, channels, channels)] if is_resnet else []
        shapes |= {} if is_resnet else _layer(f"{name}.conv", channels, channels, 3, 3)
    for name, inputs, outputs in blocks:
        shapes |= _residual(name, inputs, outputs, factor * outputs)
    for name in ("down_blocks.1", "mid_block", "up_blocks.0"):
        shapes |= _attention(f"{name}.attentions.0", 64)
    shapes |= _attention("up_blocks.0.attentions.1", 64)
    return {key: torch.full(shape, float(index)) for index, (key, shape) in enumerate(shapes.items())}


def _write(folder: Path, config: dict[str, Any], weights: dict[str, Tensor], *, safe: bool = True) -> Path:
    from safetensors.torch import save_file

    (folder / "config.json").write_text(json.dumps(config))
    if safe:
        save_file(weights, folder / "diffusion_pytorch_model.safetensors")
    else:
        torch.save(weights, folder / "diffusion_pytorch_model.bin")
    return folder


@pytest.mark.parametrize("changes", [{}, _CONVOLUTIONS], ids=["resnet", "convolution"])
@pytest.mark.parametrize("safe", [True, False])
def test_a_folder_maps_onto_the_network_one_to_one(tmp_path: Path, changes: dict[str, Any], safe: bool) -> None:
    weights = _small_weights(_CONFIG | changes)
    config, state = read_diffusers(_write(tmp_path, _CONFIG | changes, weights, safe=safe))
    AdmUNet(config).load_state_dict(state, strict=True)
    # Each weight was filled with its number: all are there, none twice.
    assert sorted(float(n) for value in state.values() for n in value.unique()) == [
        float(n) for n in range(len(weights))
    ]
    assert sum(value.numel() for value in state.values()) == sum(value.numel() for value in weights.values())


def test_layers_go_where_the_same_layer_is(tmp_path: Path) -> None:
    weights = _small_weights(_CONFIG)
    _, state = read_diffusers(_write(tmp_path, _CONFIG, weights))
    pairs = {
        "time_embed.2.weight": "time_embedding.linear_2.weight",
        "label_emb.weight": "class_embedding.weight",
        "input_blocks.0.0.bias": "conv_in.bias",
        "input_blocks.1.0.in_layers.0.weight": "down_blocks.0.resnets.0.norm1.weight",
        "input_blocks.2.0.out_layers.3.bias": "down_blocks.0.downsamplers.0.conv2.bias",
        "input_blocks.3.0.skip_connection.weight": "down_blocks.1.resnets.0.conv_shortcut.weight",
        "middle_block.1.norm.weight": "mid_block.attentions.0.group_norm.weight",
        "middle_block.2.out_layers.0.weight": "mid_block.resnets.1.norm2.weight",
        "output_blocks.1.2.in_layers.2.weight": "up_blocks.0.upsamplers.0.conv1.weight",
        "output_blocks.3.0.emb_layers.1.bias": "up_blocks.1.resnets.1.time_emb_proj.bias",
        "out.0.weight": "conv_norm_out.weight",
    }
    for ours, theirs in pairs.items():
        assert torch.equal(state[ours], weights[theirs]), ours
    rows = state["middle_block.1.qkv.bias"].reshape(3, 64)
    for row, part in zip(rows, ("to_q", "to_k", "to_v"), strict=True):
        assert torch.equal(row, weights[f"mid_block.attentions.0.{part}.bias"])


def test_the_configuration_is_the_published_one(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(
        json.dumps(
            _CONFIG
            | {
                "block_out_channels": [192, 384, 576, 768],
                "layers_per_block": 3,
                "sample_size": 64,
                "attention_head_dim": 64,
                "num_class_embeds": 1000,
                "down_block_types": ["ResnetDownsampleBlock2D", *["AttnDownBlock2D"] * 3],
                "up_block_types": [*["AttnUpBlock2D"] * 3, "ResnetUpsampleBlock2D"],
            }
        )
    )
    assert read_diffusers_config(tmp_path) == CONSISTENCY_IMAGENET64


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"freq_shift": 1}, "freq_shift is 1; AdmUNet does 0"),
        ({"flip_sin_to_cos": False}, "flip_sin_to_cos is False; AdmUNet does True"),
        ({"downsample_padding": 0}, "downsample_padding is 0; AdmUNet does 1"),
        ({"norm_num_groups": 16}, "norm_num_groups is 16; AdmUNet does 32"),
        ({"attn_norm_num_groups": None}, "attn_norm_num_groups is None; AdmUNet does 32"),
        ({"norm_eps": 1e-6}, "norm_eps is 1e-06; AdmUNet does 1e-05"),
        ({"time_embedding_type": "fourier"}, "time_embedding_type is fourier"),
        ({"time_embedding_dim": 64}, "time_embedding_dim is 64; AdmUNet does None or 128"),
        ({"center_input_sample": True}, "center_input_sample is True"),
        ({"mid_block_type": None}, "mid_block_type is None"),
        ({"add_attention": False}, "add_attention is False"),
        ({"class_embed_type": "timestep"}, "class_embed_type is timestep"),
        ({"act_fn": "gelu"}, "act_fn is gelu"),
        ({"upsample_type": "conv"}, "upsample_type is conv; AdmUNet does resnet"),
        ({"down_block_types": ["SkipDownBlock2D", "AttnDownBlock2D"]}, "down_block_types is SkipDownBlock2D"),
        ({"down_block_types": ["DownBlock2D", "AttnDownBlock2D"]}, "down_block_types is DownBlock2D"),
        ({"up_block_types": ["ResnetUpsampleBlock2D", "AttnUpBlock2D"]}, "up_block_types must mirror down_block_types"),
        ({"block_out_channels": [32, 64, 64]}, "one for each of block_out_channels"),
        ({"block_out_channels": [32, 48]}, "multiples of the first"),
        ({"block_out_channels": [0, 0]}, "multiples of the first"),
        ({"attention_head_dim": 24}, "cannot be divided into the heads"),
        ({"sample_size": 15}, "cannot be halved"),
        ({"layers_per_block": "1"}, "layers_per_block: expected a value of type int, found '1'"),
        ({"unheard_of": 1}, r"unknown fields \['unheard_of'\]"),
        ({"_class_name": "UNet2DConditionModel"}, "expected the configuration of a UNet2DModel"),
    ],
)
def test_an_entry_that_does_not_map_is_named(tmp_path: Path, change: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=rf"config\.json.*{words}"):
        read_diffusers(_write(tmp_path, _CONFIG | change, {}))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"conv_in.bias": None}, "weight 'conv_in.bias' is missing"),
        ({"mid_block.attentions.0.to_k.bias": None}, "'mid_block.attentions.0.to_k.bias' is missing"),
        ({"mid_block.attentions.0.to_k.bias": torch.zeros(32)}, r"expected shape \[64\], found \[32\]"),
        ({"conv_out.bias": torch.zeros(6)}, r"weight 'conv_out.bias': expected shape \[3\], found \[6\]"),
        ({"extra.weight": torch.zeros(1)}, r"weight extra.weight has no place in the network \(1 in all\)"),
    ],
)
def test_a_weight_that_does_not_fit_is_named(change: dict[str, Tensor | None], words: str) -> None:
    weights = {key: value for key, value in (_small_weights(_CONFIG) | change).items() if value is not None}
    network = AdmUNet(_small_config())
    with pytest.raises(InputError, match=words):
        adm_unet_state(weights, network, Path("weights"))


def _small_config() -> AdmUNetConfig:
    return AdmUNetConfig(
        image_size=16,
        model_channels=32,
        num_res_blocks=1,
        attention_resolutions=(8,),
        channel_mult=(1, 2),
        qkv_order="three-heads-dim",
        num_head_channels=16,
        num_classes=10,
        resblock_updown=True,
    )


@pytest.mark.parametrize("text", ["", "{", "[]", "[" * 100_000, "{}", "\x00", " " * 1_000_001])
def test_a_configuration_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(InputError, match="expected the configuration of a UNet2DModel"):
        read_diffusers(tmp_path)


def test_a_pipelines_folder_is_answered_with_its_networks(tmp_path: Path) -> None:
    (tmp_path / "unet").mkdir()
    (tmp_path / "model_index.json").write_text("{}")
    (tmp_path / "unet" / "config.json").write_text(json.dumps(_CONFIG))
    with pytest.raises(InputError, match=r"found a whole pipeline's; give .*unet$"):
        read_diffusers(tmp_path)


def test_missing_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"config\.json: cannot be read"):
        read_diffusers(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(_CONFIG))
    with pytest.raises(InputError, match=r"diffusion_pytorch_model\.bin: cannot be read"):
        read_diffusers(tmp_path)
