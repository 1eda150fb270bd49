"""The published configurations have exactly the keys, shapes and parameter counts of the published checkpoints."""

from ast import literal_eval
from pathlib import Path

import pytest
import torch

from purecert.train.importing.network_kinds import NETWORK_KINDS
from purecert.train.networks.adm import presets as adm_presets
from purecert.train.networks.adm.unet import AdmUNet, AdmUNetConfig
from purecert.train.networks.song import presets as song_presets
from purecert.train.networks.song.unet import SongUNet, SongUNetConfig
from support.checkpoint_files import write_safetensors
from support.golden import shared

pytestmark = [pytest.mark.shared, pytest.mark.slow, pytest.mark.nightly]

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


def test_the_cifar10_consistency_network_has_the_published_size() -> None:
    # 56,395,651 by the list of its flax leaves: those of the EDM network without the augmentation's.
    state = _build(song_presets.CONSISTENCY_CIFAR10).state_dict()
    learned = sum(value.numel() for key, value in state.items() if not key.endswith("resample_filter"))
    header = shared("research/checkpoint-keys/jcm_ncsnpp_cifar10_flax.txt").read_text().splitlines()[0]
    assert f"{learned} elements" in header


_READERS = {  # the kind of each list's file
    "cm_cd_imagenet64_cond": "consistency-imagenet64",
    "cm_cd_imagenet64_uncond": "consistency-imagenet64",
    "improved_diffusion_cifar10_uncond_50M_500K": "improved-diffusion-cifar10",
    "guided_diffusion_256x256_uncond": "guided-diffusion-256",
    "edm_cifar10_32x32_uncond_ve": "edm-cifar10",
    "edm_cifar10_32x32_uncond_vp": "edm-cifar10",
}


@pytest.mark.parametrize("name", _PUBLISHED)
def test_a_file_of_random_values_loads_through_the_public_reader(tmp_path: Path, name: str) -> None:
    generator = torch.Generator().manual_seed(0)
    half = torch.float16  # as small as a file of these sizes can be; every half is an FP32 value
    state = {key: torch.rand(shape, generator=generator, dtype=half) for key, shape in _shapes(name).items()}
    path = write_safetensors(tmp_path / "model.safetensors", state)
    network = NETWORK_KINDS[_READERS[name]].read(path, {})
    path.unlink()
    loaded = network.state_dict()
    assert loaded.keys() == state.keys()
    assert all(torch.equal(loaded[key].to(half), value) for key, value in state.items())
