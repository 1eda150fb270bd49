"""Every network's normalisations have the groups of the published table, at every width that a network has."""

import pytest
from torch import nn

from purecert.train.networks.adm import blocks as adm_blocks
from purecert.train.networks.song import blocks as song_blocks
from purecert.train.networks.song.unet import SongUNet, SongUNetConfig
from support.denoisers import random_network
from support.golden import table

pytestmark = pytest.mark.shared

_FAMILIES = {
    "NVlabs/edm SongUNet": song_blocks.group_norm,
    "openai/consistency_models_cifar10 NCSNpp": song_blocks.group_norm,
    "openai UNetModel (improved-diffusion, guided-diffusion, consistency_models)": adm_blocks.group_norm,
}


def _published() -> dict[tuple[str, int], tuple[int, float]]:
    return {
        (row["family"], int(row["channels"])): (int(row["groups"]), float(row["eps"])) for row in table("group_norm")
    }


def test_every_family_follows_the_published_table() -> None:
    published = _published()
    assert {family for family, _ in published} == set(_FAMILIES)
    for (family, channels), expected in published.items():
        norm = _FAMILIES[family](channels)
        assert (norm.num_groups, norm.eps, norm.num_channels) == (*expected, channels)


def _network(family: str) -> nn.Module:
    """Return a small network of a family of the table."""
    if not family.endswith("NCSNpp"):
        return random_network("song" if "SongUNet" in family else "adm")
    shape = SongUNetConfig(
        img_resolution=8,
        in_channels=2,
        out_channels=2,
        model_channels=8,
        channel_mult=(1, 2),
        num_blocks=1,
        embedding_type="fourier",
        encoder_type="residual",
        resample_filter=(1, 3, 3, 1),
    )
    return SongUNet(shape)


@pytest.mark.parametrize("family", _FAMILIES)
def test_the_norms_inside_a_network_are_those_of_its_family(family: str) -> None:
    published = _published()
    norms = [module for module in _network(family).modules() if isinstance(module, nn.GroupNorm)]
    assert norms
    assert all((norm.num_groups, norm.eps) == published[family, norm.num_channels] for norm in norms)
