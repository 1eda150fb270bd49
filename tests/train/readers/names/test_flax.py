"""NCSN++ weights of flax become SongUNet weights that give the published outputs."""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from purecert.engine.errors import InputError
from purecert.train.networks.song.unet import SongUNet, SongUNetConfig
from purecert.train.readers.flax_files import read_flax, train_state
from purecert.train.readers.names.flax import song_unet_state
from support.golden import golden, shared

_FULL = SongUNetConfig(
    img_resolution=32,
    in_channels=3,
    out_channels=3,
    model_channels=128,
    channel_mult=(2, 2, 2),
    num_blocks=4,
    attn_resolutions=(16,),
    dropout=0.0,
    embedding_type="fourier",
    channel_mult_noise=2,
    encoder_type="residual",
    resample_filter=(1, 3, 3, 1),
)
_SMALL = replace(_FULL, img_resolution=16, model_channels=8, num_blocks=1, attn_resolutions=(8,))
_ATOL, _RTOL = 2e-5, 1e-5  # the bounds that come with the golden values


def _content() -> Mapping[str, Any]:
    content: Mapping[str, Any] = read_flax(shared("vectors/networks/jcm_checkpoint_A.msgpack"))
    return content


def _network(params: Mapping[str, object]) -> SongUNet:
    network = SongUNet(_SMALL)
    network.load_state_dict(song_unet_state(params, _SMALL), strict=True)
    return network.eval().requires_grad_(False)


def _assert_close(found: Tensor, nhwc: Tensor) -> None:
    torch.testing.assert_close(found, nhwc.permute(0, 3, 1, 2), atol=_ATOL, rtol=_RTOL)


@pytest.mark.shared
@pytest.mark.parametrize(("field", "output"), [("params_ema", "net_out"), ("params", "net_out_raw_params")])
def test_a_published_checkpoint_gives_the_published_outputs(field: str, output: str) -> None:
    arrays, content = golden("jcm_ncsnpp_A").arrays, _content()
    network = _network(train_state(content, "file") if field == "params_ema" else content[field])
    for x, t, expected in zip(*(arrays[key] for key in ("net_in", "net_t", output)), strict=True):
        _assert_close(network(x.permute(0, 3, 1, 2), t), expected)


@pytest.mark.shared
@pytest.mark.parametrize(("form", "t_min"), [("distiller", 0.002), ("denoiser", 0.0)])
def test_a_published_checkpoint_gives_the_published_images(form: str, t_min: float) -> None:
    arrays, network = golden("jcm_ncsnpp_A").arrays, _network(train_state(_content(), "file"))
    for level, row in [(level, row) for level in range(3) for row in range(2)]:
        x = arrays["x"][level, row : row + 1].permute(0, 3, 1, 2)
        sigma = float(arrays["sigma"][level, row])
        # The boundary condition of consistency models with sigma_data 1/2 (Song et al. 2023, app. C).
        skip, root, above = 0.25 / ((sigma - t_min) ** 2 + 0.25), math.sqrt(sigma**2 + 0.25), sigma - t_min
        raw = network(x / root, torch.tensor([sigma]).log() / 4)
        _assert_close(skip * x + above * 0.5 / root * raw, arrays[form][level, row : row + 1])


def _nested(leaves: Mapping[str, Tensor]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for path, value in leaves.items():
        *parents, name = path.split("/")
        node = tree
        for parent in parents:
            node = node.setdefault(parent, {})
        node[name] = value
    return tree


def _published_leaves() -> dict[str, Tensor]:
    lines = shared("research/checkpoint-keys/jcm_ncsnpp_cifar10_flax.txt").read_text().splitlines()
    rows = [line.split("\t") for line in lines if not line.startswith("#")]
    shapes = {path: [int(n) for n in shape.strip("()").split(",") if n.strip()] for path, shape, _ in rows}
    return {path: torch.full(shape, float(index)) for index, (path, shape) in enumerate(shapes.items())}


@pytest.mark.shared
def test_the_full_size_list_maps_onto_the_full_size_network() -> None:
    leaves = _published_leaves()
    state = song_unet_state(_nested(leaves), _FULL)
    with torch.device("meta"):
        network = SongUNet(_FULL)
    assert {key: value.shape for key, value in state.items()} == {k: v.shape for k, v in network.state_dict().items()}
    weights = [value for key, value in state.items() if not key.endswith("resample_filter")]
    assert sum(value.numel() for value in weights) == 56_395_651  # as the list's first line says
    # Each leaf was filled with its number: all numbers are there.
    assert {int(n) for value in weights for n in value.unique()} == set(range(len(leaves)))
    assert len(leaves) == 445


@pytest.mark.shared
def test_queries_keys_and_values_alternate() -> None:
    leaves = _published_leaves()
    for index, name in enumerate("qkv"):
        leaves[f"AttnBlockpp_5/NIN_{index}/b"] = torch.arange(256.0) + 1000 * index
        assert name  # NIN_0, 1, 2 are q, k, v
    rows = song_unet_state(_nested(leaves), _FULL)["dec.16x16_block4.qkv.bias"]
    assert rows[:7].tolist() == [0, 1000, 2000, 1, 1001, 2001, 2]


def _small_leaves() -> dict[str, Tensor]:
    return golden("jcm_ncsnpp_A").state("params_ema/")


@pytest.mark.shared
def test_a_missing_leaf_is_named() -> None:
    leaves = _small_leaves()
    for path in list(leaves)[::20]:  # leaves of every kind of module
        rest = {key: value for key, value in leaves.items() if key != path}
        with pytest.raises(InputError, match=f"weight '{path}' is missing"):
            song_unet_state(_nested(rest), _SMALL)


@pytest.mark.shared
def test_a_misshapen_leaf_is_named() -> None:
    leaves = _small_leaves()
    for path, value in list(leaves.items())[::20]:
        changed = leaves | {path: torch.zeros(*value.shape[:-1], value.shape[-1] + 1)}
        with pytest.raises(InputError, match=rf"weight '{path}': expected shape \[.*\], found \["):
            song_unet_state(_nested(changed), _SMALL)


@pytest.mark.shared
@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"Conv_2/kernel": torch.zeros(1)}, r"weight Conv_2/kernel has no place in the network \(1 in all\)"),
        ({"Conv_0/scale": torch.zeros(1)}, "weight Conv_0/scale has no place"),
        ({"ResnetBlockBigGANpp_99/Conv_0/bias": torch.zeros(1)}, "ResnetBlockBigGANpp_99/Conv_0/bias has no place"),
        ({"Conv_0/bias": 3}, "weight Conv_0/bias: expected an array, found int"),
    ],
)
def test_a_leaf_without_a_place_is_named(change: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        song_unet_state(_nested(_small_leaves() | change), _SMALL)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"embedding_type": "positional"}, "need embedding_type 'fourier', got 'positional'"),
        ({"encoder_type": "standard"}, "need encoder_type 'residual'"),
        ({"decoder_type": "skip"}, "need decoder_type 'standard'"),
        ({"augment_dim": 9}, "need augment_dim 0, got 9"),
        ({"label_dim": 10}, "need label_dim 0, got 10"),
    ],
)
def test_a_network_of_another_family_is_refused(change: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        song_unet_state({}, replace(_SMALL, **change))
