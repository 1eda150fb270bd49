"""Weights at the start are those of MoCo v3: Glorot's, with queries, keys and values counted apart."""

import math

import pytest
import torch

from purecert.train.networks.rrcm.moco_start import start_as_moco
from purecert.train.networks.rrcm.vit import RrcmVit, RrcmVitConfig

_SHAPE = RrcmVitConfig(image_size=16, patch_size=4, width=64, depth=2, heads=2, projection_hidden=8, projection_width=4)


def test_weights_are_uniform_up_to_glorots_bound_and_patches_are_not_trained() -> None:
    torch.manual_seed(0)
    network = RrcmVit(_SHAPE)
    for parameter in network.blocks.parameters():
        torch.nn.init.constant_(parameter, 7.0)
    start_as_moco(network)
    weights = dict(network.named_parameters())
    bounds = {
        "blocks.1.attn.qkv.weight": math.sqrt(6 / (64 + 64)),
        "blocks.0.attn.proj.weight": math.sqrt(6 / (64 + 64)),
        "blocks.1.mlp.fc1.weight": math.sqrt(6 / (64 + 256)),
        "patch_embed.proj.weight": math.sqrt(6 / (3 * 16 + 64)),
    }
    for name, bound in bounds.items():
        assert 0.98 * bound < float(weights[name].detach().abs().max()) <= bound
        assert float(weights[name].detach().std()) == pytest.approx(bound / math.sqrt(3), rel=0.05)
    for name in ("blocks.0.attn.proj.bias", "blocks.1.mlp.fc2.bias", "patch_embed.proj.bias"):
        assert not bool(weights[name].any())
    frozen = {name for name, weight in weights.items() if not weight.requires_grad}
    assert frozen == {"patch_embed.proj.weight", "patch_embed.proj.bias"}
    assert float(weights["blocks.0.norm1.weight"].detach().min()) == 7.0  # norms stay as they are
