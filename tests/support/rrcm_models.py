"""A small rRCM classifier of 8 x 8 digits with random weights, as a model."""

import torch
from torch import nn

from purecert.train.models.checkpoints import Model
from purecert.train.models.preprocessing import Preprocessing, PreprocessingConfig
from purecert.train.networks.rrcm.classifier import RrcmClassifier, RrcmClassifierConfig
from purecert.train.networks.rrcm.vit import RrcmVitConfig
from purecert.train.purifiers.identity import IdentityConfig, IdentityPurifier
from support.golden import randomise


def rrcm_model(*, normalises: bool = False) -> Model:
    """Return it as it comes from a file: in eval mode, without gradients."""
    network = RrcmVitConfig(
        image_size=8, patch_size=2, channels=1, width=32, depth=2, heads=2, projection_hidden=12, projection_width=6
    )
    with torch.random.fork_rng():
        torch.manual_seed(3)
        classifier = RrcmClassifier(RrcmClassifierConfig(network=network, classes=10, normalises=normalises))
        randomise(classifier)
        for module in classifier.modules():
            if isinstance(module, nn.LayerNorm | nn.Conv2d | nn.Linear) and module.bias is not None:
                nn.init.uniform_(module.bias, -0.3, 0.3)
    return Model(
        purifier=IdentityPurifier(IdentityConfig()).eval(),
        classifier=classifier.eval().requires_grad_(False),
        preprocessing=Preprocessing(PreprocessingConfig(mean=(0.5,), std=(0.5,))).eval(),
        input_shape=(1, 8, 8),
        classes=10,
        data="digits:test",
    )
