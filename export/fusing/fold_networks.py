"""A denoising network at one time: its whole time path becomes constants in the layers around it.

At a fixed sigma the time is a constant, and so is everything computed from it. What is added before a convolution's
output goes into that convolution's bias; what scales and shifts a normalisation's output goes into its weight and bias.
"""

import copy
from collections.abc import Sequence
from functools import singledispatch

import torch
from torch import Tensor, nn
from torch.nn import functional

from purecert.export.fusing.fold_convolutions import add_to_bias, constant, fold_batch_norms, scale_output
from purecert.train.networks.adm.blocks import AdmResBlock
from purecert.train.networks.adm.unet import AdmUNet
from purecert.train.networks.film_unet import Film, FilmUNet, FixedFilm
from purecert.train.networks.plain_denoisers import UNSHUFFLE, Dncnn, Ffdnet
from purecert.train.networks.song.blocks import UNetBlock
from purecert.train.networks.song.unet import SongUNet

Size = tuple[int, int]  # height and width


def copy_sharing_weights(module: nn.Module) -> nn.Module:
    """Return a copy whose structure may be changed, on the same tensors, which must not be."""
    tensors = [*module.parameters(), *module.buffers()]
    return copy.deepcopy(module, {id(tensor): tensor for tensor in tensors})


def fold_time(network: nn.Module, label: float, size: Size) -> nn.Module:
    """Return ``network`` at one time ``label`` as a network of the image alone; it shares the weights that stay.

    Args:
        network: The network, in eval mode.
        label: Its time input.
        size: Height and width of its images, of which a folded network takes no others.

    Raises:
        TypeError: No way is known to fold such a network, see ``can_fold``.
    """
    time = torch.full((1,), label, dtype=torch.float32)
    with torch.no_grad():
        return _fold(copy_sharing_weights(network), time, size)


def can_fold(network: nn.Module) -> bool:
    """Whether the time path of such a network can be folded."""
    return _fold.dispatch(type(network)) is not _fold.dispatch(object)


@singledispatch
def _fold(network: nn.Module, time: Tensor, size: Size) -> nn.Module:
    raise TypeError(f"no way is known to fold the time path of a {type(network).__name__}")


@_fold.register
def _(network: SongUNet, time: Tensor, size: Size) -> nn.Module:
    embedding = network.embed(time, None, None)
    for block in network.modules():
        if isinstance(block, UNetBlock) and block.affine is not None:
            add_to_bias(block.conv0, block.affine(embedding)[0])
            block.affine = None
    network.map_noise = network.map_layer0 = network.map_layer1 = None
    network.map_label = network.map_augment = None
    return network


@_fold.register
def _(network: AdmUNet, time: Tensor, size: Size) -> nn.Module:
    embedding = network.embed(time)
    for block in network.modules():
        if isinstance(block, AdmResBlock):
            _fold_modulation(block, block.modulation(embedding)[0])
            block.emb_layers = None
    network.time_embed = network.label_emb = network.class_token = None
    return network


def _fold_modulation(block: AdmResBlock, modulation: Tensor) -> None:
    norm, convolution = block.out_layers[0], block.in_layers[2]
    assert isinstance(norm, nn.GroupNorm)
    assert isinstance(convolution, nn.Conv2d)
    if not block.scale_shift:
        add_to_bias(convolution, modulation)
        return
    scale, shift = modulation.chunk(2)
    # The norm gives weight n + bias, and the block (1 + scale) of that, + shift.
    norm.weight, norm.bias = constant(norm.weight * (1 + scale)), constant(norm.bias * (1 + scale) + shift)


@_fold.register
def _(network: FilmUNet, time: Tensor, size: Size) -> nn.Module:
    embedding = network.embed(time, None)
    for index, film in enumerate(network.time_filmUp):
        assert isinstance(film, Film)
        gamma, beta = film.modulation(embedding)[0, :, None, None].chunk(2)
        network.time_filmUp[index] = FixedFilm(gamma.clone(), beta.clone())
    network.time_emb = None
    network.register_parameter("class_token", None)
    return fold_batch_norms(network)


@_fold.register
def _(network: Ffdnet, time: Tensor, size: Size) -> nn.Module:
    first = network.model[0]
    assert isinstance(first, nn.Conv2d)
    network.model[0] = _ConvolutionWithPlane(first, float(time), (size[0] // UNSHUFFLE, size[1] // UNSHUFFLE))
    return network


class _ConvolutionWithPlane(nn.Conv2d):
    """A convolution of the image and one more plane of a constant, which the padding ends at the border."""

    def __init__(self, convolution: nn.Conv2d, level: float, size: Size) -> None:
        inputs, padding = convolution.in_channels - 1, convolution.kernel_size[0] // 2
        super().__init__(inputs, convolution.out_channels, convolution.kernel_size[0], padding=padding, bias=False)
        self.weight = constant(convolution.weight[:, :inputs].contiguous())
        plane = torch.full((1, 1, *size), level)
        added = functional.conv2d(plane, convolution.weight[:, inputs:], convolution.bias, padding=padding)
        self.added = constant(added)  # [1, outputs, height, width]: the same but near the border

    def forward(self, input: Tensor) -> Tensor:
        return super().forward(input) + self.added


@_fold.register
def _(network: Dncnn, time: Tensor, size: Size) -> nn.Module:
    return network  # blind: it has no time path


def fold_output(network: nn.Module, scale: float, shift: float, *, has_variance: bool) -> nn.Module:
    """Return a folded network that gives scale F + shift, with ``has_variance`` for the first half of F's channels.

    Raises:
        TypeError: No way is known to reach the last layers of such a network.
    """
    layers = _last_layers(network)
    with torch.no_grad():
        for index, (parent, name) in enumerate(layers):
            convolution = parent.get_submodule(name)
            assert isinstance(convolution, nn.Conv2d)
            # Patches keep a channel's pixels together, so the first half of these channels too is the image's own.
            kept = convolution.out_channels // (2 if has_variance else 1)
            is_last = index == len(layers) - 1  # the pyramid's images are added up: only one brings the shift
            setattr(parent, name, scale_output(convolution, scale, shift if is_last else 0.0, kept))
    return network


def _last_layers(network: nn.Module) -> Sequence[tuple[nn.Module, str]]:
    """Return parent and name of the convolutions whose sum, resampled, is the network's answer."""
    if isinstance(network, SongUNet):
        return [(network.dec, name) for name in network.dec if name.endswith("_aux_conv")]
    if isinstance(network, AdmUNet):
        return [(network.out, "2")]
    if isinstance(network, FilmUNet):
        return [(network, "finalLayer")]
    if isinstance(network, Ffdnet | Dncnn):
        return [(network.model, str(len(network.model) - 1))]
    raise TypeError(f"no way is known to the last layers of a {type(network).__name__}")
