"""From a class-conditional network to an unconditional one, as Li et al. 2024 (Consistency Purification) did."""

import copy
from dataclasses import replace

from torch import nn

from purecert.engine.errors import InputError
from purecert.train.networks.adm_unet import AdmUNet


def replace_classes_by_token(network: AdmUNet) -> AdmUNet:
    """Return a copy of ``network`` with one learnable vector in place of its class embeddings.

    The vector starts at the mean of the class embeddings. The copy shares no weights with ``network``.

    Raises:
        InputError: The network has no class embeddings.
    """
    if network.label_emb is None:
        raise InputError(
            "expected a network with class embeddings, found one without; it needs no token in their place"
        )
    weight = network.label_emb.weight
    token = nn.Parameter(weight.detach().mean(dim=0), requires_grad=weight.requires_grad)
    unconditional = copy.deepcopy(network)
    unconditional.config = replace(network.config, num_classes=0, class_token=True)
    unconditional.label_emb = None
    unconditional.class_token = token
    return unconditional
