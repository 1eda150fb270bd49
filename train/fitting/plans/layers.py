"""Layer-wise learning rates: of a trained network, lower layers learn more slowly (Clark et al. 2020)."""

from collections import defaultdict
from typing import Any, Protocol, TypeAlias, runtime_checkable

from torch import nn

SHARE = "share_of_the_rate"  # of a group of parameters
Group: TypeAlias = dict[str, Any]


@runtime_checkable
class Layered(Protocol):
    """A module that says which of its layers each parameter belongs to."""

    def layer_of(self, parameter: str) -> int:
        """Return how many layers lie above that of the parameter of this name; 0 for those of the uppermost."""


def parameter_groups(module: nn.Module, decay: float) -> list[Group]:
    """Return the trained parameters for an optimiser, each group with its share of the rate: decay^(layers above).

    Raises:
        TypeError: The decay is below 1 and the module does not say what its layers are.
    """
    if decay == 1:
        return [{"params": [p for p in module.parameters() if p.requires_grad], SHARE: 1.0}]
    if not isinstance(module, Layered):
        raise TypeError(f"layer_decay {decay} needs a module with layer_of, got {type(module).__name__}")
    layers = defaultdict[int, list[nn.Parameter]](list)
    for name, parameter in module.named_parameters():
        if parameter.requires_grad:
            layers[module.layer_of(name)].append(parameter)
    return [{"params": layers[above], SHARE: decay**above} for above in sorted(layers)]
