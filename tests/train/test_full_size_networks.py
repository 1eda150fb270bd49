"""The published configurations have exactly the keys, shapes and parameter counts of the published checkpoints."""

from ast import literal_eval

import pytest
import torch

from purecert.train.networks import adm_presets, song_presets
from purecert.train.networks.adm_unet import AdmUNet, AdmUNetConfig
from purecert.train.networks.song_unet import SongUNet, SongUNetConfig
from support.golden import shared

_PUBLISHED: dict[str, tuple[AdmUNetConfig | SongUNetConfig, float]] = {  # millions of elements, as their papers say
    "cm_cd_imagenet64_cond": (adm_presets.CONSISTENCY_IMAGENET64, 295.9),
    "cm_cd_imagenet64_uncond": (adm_presets.CONSISTENCY_IMAGENET64_UNCONDITIONAL, 295.1),
    "improved_diffusion_cifar10_uncond_50M_500K": (adm_presets.IMPROVED_DIFFUSION_CIFAR10, 52.55),
    "guided_diffusion_256x256_uncond": (adm_presets.GUIDED_DIFFUSION_256, 552.8),
    "edm_cifar10_32x32_uncond_ve": (song_presets.EDM_CIFAR10_VE, 56.40),
    "edm_cifar10_32x32_uncond_vp": (song_presets.EDM_CIFAR10_VP, 55.73),
}


def _shapes(name: str) -> dict[str, tuple[int, ...]]:
    """Return the shape under every key of a checkpoint."""
    lines = shared(f"research/checkpoint-keys/{name}.txt").read_text().splitlines()
    rows = [line.split("\t") for line in lines if not line.startswith("#")]
    return {row[0].removeprefix("model."): literal_eval(row[1]) for row in rows}


def _build(config: AdmUNetConfig | SongUNetConfig) -> AdmUNet | SongUNet:
    with torch.device("meta"):
        return AdmUNet(config) if isinstance(config, AdmUNetConfig) else SongUNet(config)


@pytest.mark.parametrize("name", _PUBLISHED)
def test_the_network_has_the_checkpoints_keys_and_shapes(name: str) -> None:
    config, millions = _PUBLISHED[name]
    state = _build(config).state_dict()
    assert {key: tuple(value.shape) for key, value in state.items()} == _shapes(name)
    assert sum(value.numel() for value in state.values()) / 1e6 == pytest.approx(millions, abs=0.05)


@pytest.mark.parametrize("name", _PUBLISHED)
def test_the_checkpoint_loads_strictly(name: str) -> None:
    state = {key: torch.empty(shape, device="meta") for key, shape in _shapes(name).items()}
    matched = _build(_PUBLISHED[name][0]).load_state_dict(state, strict=True, assign=True)
    assert (matched.missing_keys, matched.unexpected_keys) == ([], [])


def test_the_cifar10_consistency_network_has_the_published_size() -> None:
    # 56,395,651 by the list of its flax leaves: those of the EDM network without the augmentation's.
    state = _build(song_presets.CONSISTENCY_CIFAR10).state_dict()
    learned = sum(value.numel() for key, value in state.items() if not key.endswith("resample_filter"))
    header = shared("research/checkpoint-keys/jcm_ncsnpp_cifar10_flax.txt").read_text().splitlines()[0]
    assert f"{learned} elements" in header


def test_a_full_size_checkpoint_is_assigned_value_by_value() -> None:
    generator = torch.Generator().manual_seed(0)
    shapes = _shapes("improved_diffusion_cifar10_uncond_50M_500K")
    state = {key: 0.02 * torch.randn(shape, generator=generator) for key, shape in shapes.items()}
    network = _build(adm_presets.IMPROVED_DIFFUSION_CIFAR10)
    network.load_state_dict(state, strict=True, assign=True)
    for key, value in network.state_dict().items():
        assert torch.equal(value, state[key])
    with torch.no_grad():
        output = network.eval()(torch.randn(1, 3, 32, 32, generator=generator), torch.tensor([289.5]))
    assert output.shape == (1, 6, 32, 32)
    assert torch.isfinite(output).all()
