"""What a convolution can take in exactly: a batch normalisation after it, a scale, a shift, fewer outputs."""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from purecert.train.networks.resnet import BasicBlock, ResNet
from purecert.train.networks.wide_resnet import WideBlock


def constant(value: Tensor) -> nn.Parameter:
    """Return ``value`` as a weight that is not trained."""
    return nn.Parameter(value.detach(), requires_grad=False)


def add_to_bias(convolution: nn.Module, shift: Tensor) -> None:
    """Let a convolution add ``shift`` [outputs] too, or one per output of its own."""
    assert isinstance(convolution, nn.Conv2d)
    bias = convolution.bias
    convolution.bias = constant(shift if bias is None else bias + shift)


def scale_output(convolution: nn.Conv2d, scale: float, shift: float, outputs: int) -> nn.Conv2d:
    """Return a same-size convolution that gives scale y + shift for the first ``outputs`` channels of y."""
    weight, bias = convolution.weight[:outputs], convolution.bias
    size = convolution.kernel_size[0]
    scaled = nn.Conv2d(convolution.in_channels, outputs, size, padding=size // 2, device="meta")
    scaled.weight = constant(scale * weight)
    zero = torch.zeros(outputs, dtype=weight.dtype)
    scaled.bias = constant(scale * (zero if bias is None else bias[:outputs]) + shift)
    return scaled.eval()


def fold_batch_norms(module: nn.Module) -> nn.Module:
    """Return ``module``, changed: every batch normalisation right after a convolution is in that convolution.

    One that stands before its convolution stays: padding lies between them. In modules of other libraries only plain
    convolutions next to plain normalisations in a plain sequence are taken: a subclass may do more than its parent.
    """
    for part in list(module.modules()):
        for convolution, norm in _pairs(part):
            before, after = getattr(part, convolution), getattr(part, norm)
            setattr(part, convolution, fuse_conv_bn_eval(before, after))
            setattr(part, norm, nn.Identity())
    return module


def _pairs(part: nn.Module) -> list[tuple[str, str]]:
    """Return the names of a convolution and the batch normalisation that alone reads it."""
    if isinstance(part, BasicBlock):
        return [("conv1", "bn1"), ("conv2", "bn2")]
    if isinstance(part, ResNet):
        return [("conv1", "bn1")]
    if isinstance(part, WideBlock):
        return [("conv1", "bn2")]  # norms stand before their convolutions: the second right after the first of them
    if type(part) is nn.Sequential:
        neighbours = pairwise(part.named_children())
        return [(a, b) for (a, x), (b, y) in neighbours if type(x) is nn.Conv2d and type(y) is nn.BatchNorm2d]
    return []
