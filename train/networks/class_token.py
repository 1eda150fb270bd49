"""From a class-conditional network to an unconditional one, as Li et al. 2024 (Consistency Purification) did."""

import copy
import math
from dataclasses import replace
from typing import TypeVar

import torch
from torch import nn

from purecert.engine.errors import InputError
from purecert.train.networks.adm.unet import AdmUNet
from purecert.train.networks.film_unet import FilmUNet
from purecert.train.networks.song.unet import SongUNet

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


def replace_labels_by_mean(network: SongUNet) -> SongUNet:
    """Return a copy of ``network`` without classes that computes what it does for the label 1/K of each of K classes.

    Labels enter by an affine map, so that this is the mean over the classes at the embedding: a constant there, which
    goes into the bias of the next layer. It is not the label of zeros that Karras et al. 2022 train with where they
    drop labels. The copy shares no weights with ``network``.

    Raises:
        InputError: The network has no class labels.
    """
    if network.map_label is None or network.map_layer0 is None:
        raise InputError("expected a network with class labels, found one without; it needs no mean in their place")
    labels = torch.full((network.config.label_dim,), 1 / network.config.label_dim, dtype=torch.float64)
    unconditional = copy.deepcopy(network)
    unconditional.config = replace(unconditional.config, label_dim=0)
    unconditional.map_label = None
    with torch.no_grad():
        mapped = network.map_label.weight.double() @ (labels * math.sqrt(len(labels))) + network.map_label.bias.double()
        added = network.map_layer0.weight.double() @ mapped
        bias = network.map_layer0.bias
        assert unconditional.map_layer0 is not None
        unconditional.map_layer0.bias = nn.Parameter((bias + added).to(bias.dtype), requires_grad=bias.requires_grad)
    return unconditional
