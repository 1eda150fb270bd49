"""NCSN++ weights under their flax names, as SongUNet weights (Song et al. 2021, Song et al. 2023)."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from purecert.engine.errors import InputError
from purecert.train.networks.song.blocks import ResampledConv2d, UNetBlock, separable_filter
from purecert.train.networks.song.unet import SongUNet, SongUNetConfig
from purecert.train.readers.opened import on_one_line


def song_unet_state(params: Mapping[str, object], config: SongUNetConfig) -> dict[str, Tensor]:
    """Return the state of ``SongUNet(config)`` from nested NCSN++ parameters of flax.

    The names in flax count the modules of each kind in the order of their creation, which is that of SongUNet's own
    modules; layouts are those of flax (HWIO convolutions, input x output matrices). Every leaf is used exactly once.

    Raises:
        InputError: The configuration is not of this family, or a leaf is missing, left over or of another shape.
    """
    _check_family(config)
    with torch.device("meta"):
        network = SongUNet(config)
    taker = _Taker(_flatten(params), {key: value.shape for key, value in network.state_dict().items()})
    taker.take("GaussianFourierProjection_0/W", "map_noise.freqs")
    for index in range(2):
        taker.take_layer(f"Dense_{index}", f"map_layer{index}")
    for side, entries in (("enc", network.enc), ("dec", network.dec)):
        for name, module in entries.items():
            taker.take_module(f"{side}.{name}", module)
    if taker.leaves:
        left = min(taker.leaves)
        raise InputError(f"weight {on_one_line(left)} has no place in the network ({len(taker.leaves)} in all)")
    filters = [key for key in network.state_dict() if key.endswith("resample_filter")]
    return taker.state | {key: separable_filter(config.resample_filter) for key in filters}


def _check_family(config: SongUNetConfig) -> None:
    expected = {"embedding_type": "fourier", "encoder_type": "residual", "decoder_type": "standard"}
    expected_numbers = {"label_dim": 0, "augment_dim": 0}
    for name, value in (expected | expected_numbers).items():
        if getattr(config, name) != value:
            raise InputError(f"NCSN++ weights of flax need {name} {value!r}, got {getattr(config, name)!r}")


def _flatten(params: Mapping[str, object]) -> dict[str, Tensor]:
    """Return the leaves by their path, such as Conv_0/kernel."""
    leaves: dict[str, Tensor] = {}
    waiting: list[tuple[str, object]] = [("", params)]
    while waiting:
        path, value = waiting.pop()
        if isinstance(value, Mapping):
            waiting += [(f"{path}/{key}" if path else str(key), inner) for key, inner in value.items()]
        elif isinstance(value, Tensor):
            leaves[path] = value
        else:
            raise InputError(f"weight {on_one_line(path)}: expected an array, found {type(value).__name__}")
    return leaves


@dataclass(slots=True, eq=False)
class _Taker:
    """Moves leaves into the state, and counts the modules of each kind on the way."""

    leaves: dict[str, Tensor]  # not yet taken
    shapes: dict[str, torch.Size]  # of the state
    state: dict[str, Tensor]
    counts: dict[str, int]

    def __init__(self, leaves: dict[str, Tensor], shapes: dict[str, torch.Size]) -> None:
        self.leaves, self.shapes = leaves, shapes
        self.state, self.counts = {}, {}

    def next(self, kind: str) -> str:
        index = self.counts.get(kind, 0)
        self.counts[kind] = index + 1
        return f"{kind}_{index}"

    def take_module(self, key: str, module: torch.nn.Module) -> None:
        """Take the leaves of one entry of the encoder or the decoder."""
        if isinstance(module, UNetBlock):
            self._take_block(key, module)
        elif isinstance(module, ResampledConv2d):
            self.take_layer(f"{self.next('Downsample')}/Conv2d_0", key, weight="weight")
        elif isinstance(module, torch.nn.GroupNorm):
            self.take_layer(self.next("GroupNorm"), key, weight="scale")
        else:
            self.take_layer(self.next("Conv"), key)

    def _take_block(self, key: str, block: UNetBlock) -> None:
        name = self.next("ResnetBlockBigGANpp")
        self.take_layer(f"{name}/Dense_0", f"{key}.affine")
        for index in range(2):
            self.take_layer(f"{name}/GroupNorm_{index}", f"{key}.norm{index}", weight="scale")
            self.take_layer(f"{name}/Conv_{index}", f"{key}.conv{index}")
        if block.skip is not None:
            self.take_layer(f"{name}/Conv_2", f"{key}.skip")
        if block.attend is not None:
            self._take_attention(key, self.next("AttnBlockpp"))

    def _take_attention(self, key: str, name: str) -> None:
        self.take_layer(f"{name}/GroupNorm_0", f"{key}.norm2", weight="scale")
        channels = self.shapes[f"{key}.proj.bias"][0]
        matrices = [self._pop(f"{name}/NIN_{index}/W", (channels, channels)).T for index in range(4)]
        biases = [self._pop(f"{name}/NIN_{index}/b", (channels,)) for index in range(4)]
        # Queries, keys and values alternate row by row: row 3 c + i is channel c of the i-th of them.
        self.state[f"{key}.qkv.weight"] = torch.stack(matrices[:3], dim=1).flatten(0, 1)[:, :, None, None].contiguous()
        self.state[f"{key}.qkv.bias"] = torch.stack(biases[:3], dim=1).flatten()
        self.state[f"{key}.proj.weight"] = matrices[3][:, :, None, None].contiguous()
        self.state[f"{key}.proj.bias"] = biases[3]

    def take_layer(self, name: str, key: str, *, weight: str = "kernel") -> None:
        self.take(f"{name}/{weight}", f"{key}.weight")
        self.take(f"{name}/bias", f"{key}.bias")

    def take(self, name: str, key: str) -> None:
        """Move one leaf: its last two axes are input and output where the state's first two are output and input."""
        shape = self.shapes[key]
        order = {4: (2, 3, 1, 0), 2: (1, 0)}.get(len(shape), (0,))  # flax axis by axis from the state's
        leaf = self._pop(name, tuple(shape[axis] for axis in order))
        back = {4: (3, 2, 0, 1), 2: (1, 0)}.get(len(shape), (0,))
        self.state[key] = leaf.permute(back).contiguous()

    def _pop(self, name: str, shape: tuple[int, ...]) -> Tensor:
        if name not in self.leaves:
            raise InputError(f"weight {name!r} is missing; expected shape {list(shape)}")
        leaf = self.leaves.pop(name)
        if tuple(leaf.shape) != shape:
            raise InputError(f"weight {name!r}: expected shape {list(shape)}, found {list(leaf.shape)}")
        return leaf
