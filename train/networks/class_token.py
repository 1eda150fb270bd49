"""From a class-conditional network to an unconditional one, as Li et al. 2024 (Consistency Purification) did."""

import copy
from dataclasses import replace
from typing import TypeVar

from torch import nn

from purecert.engine.errors import InputError
from purecert.train.networks.adm.unet import AdmUNet
from purecert.train.networks.film_unet import FilmUNet

Network = TypeVar("Network", AdmUNet, FilmUNet)


def replace_classes_by_token(network: Network) -> Network:
    """Return a copy of ``network`` with one learnable vector in place of its class embeddings.

    The vector starts at the mean of the class embeddings. The copy shares no weights with ``network``.

    Raises:
        InputError: The network has no class embeddings.
    """
    classes = network.label_emb if isinstance(network, AdmUNet) else network.prompt_emb
    if classes is None:
        raise InputError(
            "expected a network with class embeddings, found one without; it needs no token in their place"
        )
    token = nn.Parameter(classes.weight.detach().mean(dim=0), requires_grad=classes.weight.requires_grad)
    unconditional = copy.deepcopy(network)
    if isinstance(unconditional, AdmUNet):
        unconditional.config = replace(unconditional.config, num_classes=0, class_token=True)
        unconditional.label_emb = None
    else:
        unconditional.config = replace(unconditional.config, classes=0, class_token=True)
        unconditional.prompt_emb = None
    unconditional.class_token = token
    return unconditional
