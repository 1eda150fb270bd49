"""Small image classifiers of transformers with random weights, in folders as the library itself writes them."""

from pathlib import Path
from typing import Any

import pytest
import torch

from support.checkpoint_files import write_json

HF_CLASSES = 5
_TRANSFORMER = {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 3, "intermediate_size": 40}
_NETWORKS: dict[str, tuple[str, dict[str, Any]]] = {
    "resnet": ("ResNet", {"embedding_size": 8, "hidden_sizes": [8, 16], "depths": [1, 2], "layer_type": "basic"}),
    "vit": ("ViT", _TRANSFORMER | {"image_size": 32, "patch_size": 8}),
    # Two blocks, so that the windows of the second one are shifted.
    "swin": ("Swin", {"image_size": 32, "embed_dim": 8, "depths": [2], "num_heads": [2], "window_size": 4}),
    "deit": ("DeiT", _TRANSFORMER | {"image_size": 32, "patch_size": 8}),
}
NAMES = ["the tench", "a goldfish, Carassius auratus", "shark", "ray", "cock"]


def write_hf(folder: Path, kind: str = "resnet", **changes: Any) -> Any:
    """Save a network of ``kind`` with weights at which all matter into ``folder``, and return it."""
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    name, shape = _NETWORKS[kind]
    config = getattr(transformers, f"{name}Config")(**({"num_labels": HF_CLASSES} | shape | changes))
    network = getattr(transformers, f"{name}ForImageClassification")(config).eval().requires_grad_(False)
    generator = torch.Generator().manual_seed(1)
    for parameter in network.parameters():
        parameter.copy_(torch.randn(parameter.shape, generator=generator) / 3)
    for key, buffer in network.named_buffers():
        if key.endswith("running_var"):
            buffer.copy_(torch.rand(buffer.shape, generator=generator) + 0.5)
    network.save_pretrained(folder)
    return network


def write_hf_input(folder: Path, channels: int = 3, **changes: Any) -> None:
    """Write preprocessor_config.json of images of 36 pixels, of which the middle 32 are seen."""
    content = {"image_processor_type": "DeiTImageProcessor", "size": 36, "do_center_crop": True, "crop_size": 32}
    content |= {"resample": 3, "image_mean": [0.4] * channels, "image_std": [0.3] * channels}
    write_json(folder / "preprocessor_config.json", content | changes)
