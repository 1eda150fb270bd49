"""rRCM's classifier at one sigma: what depends on sigma alone is a row of constants, the rest a plain transformer.

The class token and the time token with their positions are two constant rows. The input's scale c_in lies in the patch
embedding's weight, and its bias in the patches' positions. The last block computes the class token's answer alone.
The projection head is gone, and so is the final norm where the head does not see it.
"""

import math
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor, nn

from purecert.export.fusing.fold_convolutions import constant
from purecert.export.fusing.fold_networks import copy_sharing_weights
from purecert.train.networks.conditioned import at_sigma
from purecert.train.networks.rrcm.blocks import Block
from purecert.train.networks.rrcm.classifier import RrcmClassifier
from purecert.train.shapes import Image, Logits


def fold_condition(classifier: nn.Module, sigma: float) -> nn.Module:
    """Return ``classifier`` at ``sigma``; of rRCM's, nothing that depends on sigma is left to compute.

    It shares the weights that stay. One that takes no noise level is returned as it is.
    """
    return FoldedRrcm(classifier, sigma) if isinstance(classifier, RrcmClassifier) else at_sigma(classifier, sigma)


@final
class FoldedRrcm(nn.Module):
    """Logits of noisy images on the [-1, 1] scale at one sigma."""

    def __init__(self, classifier: RrcmClassifier, sigma: float) -> None:
        super().__init__()
        shared = copy_sharing_weights(classifier)
        assert isinstance(shared, RrcmClassifier)
        network, t = shared.base_model, shared.timestep(sigma)
        with torch.no_grad():
            rows, positions = _constants(shared, t)
            self.rows, self.positions = constant(rows), constant(positions)
            self.patches = _scaled(network.patch_embed.proj, 1 / math.hypot(t, network.config.sigma_data))
        self.blocks, self.last = network.blocks[:-1], network.blocks[-1]
        self.norm = network.norm if shared.config.normalises else nn.Identity()
        self.linear_head = shared.linear_head

    def forward(self, noisy: Image) -> Logits:
        patches = self.patches(noisy).flatten(2).transpose(1, 2) + self.positions
        tokens = torch.cat([self.rows.expand(noisy.shape[0], -1, -1), patches], dim=1)
        for block in self.blocks:
            tokens = block(tokens)
        assert isinstance(self.last, Block)
        logits: Tensor = self.linear_head(self.norm(self.last.answer_first(tokens)[:, 0]))
        return logits


def _constants(
    classifier: RrcmClassifier, t: float
) -> tuple[Float[Tensor, "1 2 embedding"], Float[Tensor, "1 patches embedding"]]:
    """Return the class and time tokens with their positions, and what is added to each patch."""
    network, config = classifier.base_model, classifier.base_model.config
    blank = torch.zeros(1, config.channels, config.image_size, config.image_size)
    tokens = network.embed(*network.precondition(blank, t))  # patches of zeros: their bias and position
    return tokens[:, :2].clone(), tokens[:, 2:].clone()


def _scaled(convolution: nn.Conv2d, scale: float) -> nn.Conv2d:
    """Return the convolution of ``scale`` times its input, without its bias."""
    size, channels = convolution.kernel_size[0], (convolution.in_channels, convolution.out_channels)
    scaled = nn.Conv2d(*channels, size, stride=size, bias=False, device="meta")
    scaled.weight = constant(scale * convolution.weight)
    return scaled.eval()
