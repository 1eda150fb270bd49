"""Small vision transformers of the transformers library, in the files of Hugging Face's hub."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from support.checkpoint_files import write_json, write_safetensors, write_torch

VIT_CONFIG = {
    "model_type": "vit",
    "architectures": ["ViTForImageClassification"],
    "hidden_act": "gelu",
    "hidden_size": 24,
    "image_size": 20,
    "intermediate_size": 40,
    "layer_norm_eps": 1e-6,
    "num_attention_heads": 3,
    "num_channels": 3,
    "num_hidden_layers": 3,
    "patch_size": 5,
    "qkv_bias": True,
}
VIT_CLASSES = 7


def small_vit(**changes: Any) -> Any:
    """Return the library's own model with random weights of a size at which all matter, or skip the test."""
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    shape = transformers.ViTConfig(num_labels=VIT_CLASSES, **(VIT_CONFIG | changes))
    network = transformers.ViTForImageClassification(shape).eval().requires_grad_(False)
    generator = torch.Generator().manual_seed(1)
    for parameter in network.parameters():
        parameter.copy_(torch.randn(parameter.shape, generator=generator) / 3)
    return network


def write_vit(folder: Path, state: Mapping[str, Tensor], *, file: str = "model.safetensors", **changes: Any) -> Path:
    """Write config.json and the weights, as safetensors or as a file of torch, by the file's name."""
    folder.mkdir(exist_ok=True)
    write_json(folder / "config.json", VIT_CONFIG | changes)
    write = write_safetensors if file.endswith(".safetensors") else write_torch
    write(folder / file, dict(state))
    return folder
