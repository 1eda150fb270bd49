"""Networks that a training asks and does not change."""

from copy import deepcopy
from typing import TypeVar

from torch import nn

Network = TypeVar("Network", bound=nn.Module)


def check_frozen(module: nn.Module, what: str) -> None:
    """Refuse a module that a training would change: by a gradient, or by what batch norm and dropout do in train mode.

    Raises:
        ValueError: A parameter asks for a gradient, or a part of the module is in train mode.
    """
    if any(p.requires_grad for p in module.parameters()) or any(m.training for m in module.modules()):
        raise ValueError(f"{what} must be frozen: call .eval().requires_grad_(False) on it, or frozen_copy")


def frozen_copy(network: Network) -> Network:
    """Return a copy that no gradient reaches, in eval mode."""
    return deepcopy(network).eval().requires_grad_(False)
