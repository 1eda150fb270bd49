"""The weights that MoCo v3 gives a vision transformer before training (Chen et al. 2021); rRCM's on ImageNet."""

import math

import torch
from torch import Tensor, nn

from purecert.train.networks.rrcm.vit import RrcmVit


@torch.no_grad()
def start_as_moco(network: RrcmVit) -> RrcmVit:
    """Return ``network``, changed: uniform weights of Glorot's width, and patches without a gradient.

    Queries, keys and values count as three layers. A random projection of patches that stays as it is made training
    stable (their section 4.1).
    """
    for name, module in network.blocks.named_modules():
        if isinstance(module, nn.Linear):
            parts = 3 if name.endswith(".qkv") else 1
            _fill(module.weight, module.out_features // parts + module.in_features)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    patches = network.patch_embed.proj
    _fill(patches.weight, 3 * network.config.patch_size**2 + patches.out_channels)
    if patches.bias is not None:
        nn.init.zeros_(patches.bias)
    patches.requires_grad_(False)
    return network


def _fill(weight: Tensor, ends: int) -> None:
    """Draw weights uniformly, with the variance 2 / ``ends``."""
    bound = math.sqrt(6 / ends)
    nn.init.uniform_(weight, -bound, bound)
