"""What checkpoints leave open and an import decides: one line each, for the user, the model file and the plan."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from torch import nn

from purecert.train.networks.adm.unet import AdmUNet

Note: TypeAlias = Callable[[str], None]  # takes one line

_TOLD_APART = ("time_rule", "clip", "steps")
_NETWORK_SETTINGS = ("qkv_order", "num_heads", "num_head_channels")  # of an ADM network; no weight shows them


def silent(line: str) -> None:
    """Keep nothing of a choice, for readers of weights alone."""


def numbers(values: Sequence[float]) -> str:
    """Return the values as an option of the command takes them."""
    return ",".join(str(value) for value in values)


def note_purifier(
    note: Note, families: Sequence[str], family: str, config: Mapping[str, Any], published: Mapping[str, Any]
) -> None:
    """Note which purifier was made of a network, and every setting of it, none of which its weights show.

    Args:
        note: Takes each line.
        families: What can be made of such a network, the default first.
        family: What was.
        config: Its settings.
        published: What the settings would be if nothing were given.
    """
    others = f"; of {', '.join(families)}, the first by default" if len(families) > 1 else ""
    note(f"purifier family: {family}{others}")
    values, usual = _flat(config), _flat(published)
    for name, value in values.items():
        if name.rpartition(".")[2] in _TOLD_APART:
            note(f"purifier's {name}: {value} ({_who(value, usual[name])})")
    rest = [name for name in values if name.rpartition(".")[2] not in _TOLD_APART]
    if rest:
        note(
            "purifier's settings: "
            + ", ".join(f"{name} {values[name]} ({_who(values[name], usual[name])})" for name in rest)
        )


def note_network(note: Note, network: nn.Module) -> None:
    """Note the settings of a purifier's network that no weight of it shows."""
    if isinstance(network, AdmUNet):
        for name in _NETWORK_SETTINGS:
            note(f"network's {name}: {getattr(network.config, name)} (no weight shows it)")


def _who(value: object, usual: object) -> str:
    return "as published" if value == usual else "given"


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return the values of nested mappings by their path."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        flat |= _flat(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {f"{prefix}{name}": value}
    return flat
