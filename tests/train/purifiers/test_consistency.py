"""Consistency models give the published images, in one step and in two."""

import math
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from purecert.engine.errors import InputError
from purecert.train.networks.song.unet import SongUNet
from purecert.train.purifiers.base import FixedTimes, Purifier
from purecert.train.purifiers.consistency import ConsistencyPurifier, MultistepConfig, MultistepPurifier
from purecert.train.purifiers.karras import KarrasConfig, denoise
from purecert.train.schedules.noise_levels import NoiseRange
from support.denoisers import FAMILIES, AtLabel, KnownAnswer, Recorder, random_network, rounded
from support.golden import golden

_CONFIG = KarrasConfig(levels=NoiseRange(t_max=4.0))


@pytest.mark.shared
def test_the_published_cifar_images_come_out() -> None:
    arrays = golden("jcm_ncsnpp_A").arrays
    for level in range(len(arrays["x"])):
        sigma = arrays["sigma"][level]
        assert bool((sigma == sigma[0]).all())
        images = {key: arrays[key][level].permute(0, 3, 1, 2) for key in ("x", "net_in", "net_out", "distiller")}
        network = KnownAnswer(images["net_in"], arrays["net_t"][level], images["net_out"])
        found = ConsistencyPurifier(KarrasConfig(), network)(images["x"], float(sigma[0]) / 2)
        torch.testing.assert_close(found, images["distiller"], atol=2e-5, rtol=1e-5)


@pytest.mark.shared
@pytest.mark.parametrize("name", ["cm_unet_cond_A", "cm_unet_uncond_A"])
def test_the_published_images_of_the_large_networks_come_out(name: str) -> None:
    arrays = golden(name).arrays
    for level in range(len(arrays["x"])):
        for row in range(2):  # the noise may differ within a batch, and a purifier has one level
            x, net_in, net_t, net_out, expected = (
                arrays[key][level, row : row + 1] for key in ("x", "net_in", "net_t", "net_out", "denoised")
            )
            network = KnownAnswer(net_in, net_t, net_out)
            purifier = ConsistencyPurifier(KarrasConfig(label_scale=1000), network)
            found = purifier(x, float(arrays["sigma"][level, row]) / 2)
            torch.testing.assert_close(found, expected, atol=2e-4, rtol=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_one_step_is_the_equation_of_the_paper(family: str) -> None:
    network, x = random_network(family), torch.randn(3, 2, 8, 8)
    raw = network(x / math.sqrt(0.8**2 + 0.5**2), torch.tensor([math.log(0.8) / 4]))
    expected = 0.25 / (0.798**2 + 0.25) * x + 0.798 * 0.5 / math.sqrt(0.8**2 + 0.25) * raw
    torch.testing.assert_close(ConsistencyPurifier(_CONFIG, network)(x, 0.4), expected)


def test_clipping_limits_the_clean_image_only(small_network: SongUNet) -> None:
    x = 3 * torch.randn(4, 1, 8, 8)
    free = ConsistencyPurifier(_CONFIG, small_network)
    clipped = ConsistencyPurifier(KarrasConfig(levels=_CONFIG.levels, clip=True), small_network)
    assert free(x, 0.5).abs().max() > 1
    torch.testing.assert_close(clipped(x, 0.5), free(x, 0.5).clamp(-1, 1))


def test_the_grid_decides_the_time(small_network: SongUNet) -> None:
    purifier = ConsistencyPurifier(KarrasConfig(time_rule="nearest-2sigma"), small_network)
    assert purifier.time_rule == "nearest-2sigma of 18"
    assert purifier.timestep(0.25) == pytest.approx(0.5853, abs=1e-4)
    x = torch.randn(2, 1, 8, 8)
    torch.testing.assert_close(purifier(x, 0.25), denoise(small_network, purifier.config, x, purifier.timestep(0.25)))


def test_two_steps_are_one_step_renoise_one_step(small_network: SongUNet) -> None:
    purifier = MultistepPurifier(MultistepConfig(model=_CONFIG, second_ratio=0.4), small_network)
    assert purifier.noise_inputs(0.5) == (1,)
    assert purifier.time_rule == "exact, then times 0.4"
    x, z = torch.randn(3, 1, 8, 8), torch.randn(3, 1, 1, 8, 8)
    once = denoise(small_network, _CONFIG, x, 1.0)
    again = once + math.sqrt(0.4**2 - 0.002**2) * z[:, 0]
    torch.testing.assert_close(purifier(x, 0.5, [z]), denoise(small_network, _CONFIG, again, 0.4))


@pytest.mark.parametrize("sigma", [0.0, 0.0012, 0.25, 1.9])
def test_the_labels_of_two_steps_are_those_that_the_network_is_asked_with(sigma: float) -> None:
    network = Recorder(lambda x, label: x)
    purifier = MultistepPurifier(MultistepConfig(model=_CONFIG), network)
    purifier(torch.zeros(1, 1, 8, 8), sigma, [torch.zeros(1, 1, 1, 8, 8)])
    assert len(network.labels) == 2
    assert [rounded(label) for label in purifier.labels(sigma)] == list(dict.fromkeys(network.labels))


@pytest.mark.parametrize("sigma", [0.0, 0.25])
def test_two_steps_run_on_a_network_for_each_of_their_labels(small_network: SongUNet, sigma: float) -> None:
    purifier = MultistepPurifier(MultistepConfig(model=_CONFIG), small_network)
    x, z = torch.randn(2, 1, 8, 8), torch.randn(2, 1, 1, 8, 8)
    expected = purifier(x, sigma, [z])
    purifier.network = FixedTimes({label: AtLabel(small_network, label) for label in purifier.labels(sigma)})
    torch.testing.assert_close(purifier(x, sigma, [z]), expected)


def test_clipping_limits_the_end_of_two_steps_only(small_network: SongUNet) -> None:
    x, z = 3 * torch.randn(4, 1, 8, 8), torch.randn(4, 1, 1, 8, 8)
    free = MultistepPurifier(MultistepConfig(model=_CONFIG), small_network)
    clipping = KarrasConfig(levels=_CONFIG.levels, clip=True)
    clipped = MultistepPurifier(MultistepConfig(model=clipping), small_network)
    assert free(x, 0.5, [z]).abs().max() > 1
    torch.testing.assert_close(clipped(x, 0.5, [z]), free(x, 0.5, [z]).clamp(-1, 1))


@pytest.mark.parametrize("noises", [[], [torch.zeros(1, 1, 1, 8, 8)] * 2])
def test_two_steps_need_exactly_one_noise_input(small_network: SongUNet, noises: Sequence[Tensor]) -> None:
    with pytest.raises(ValueError, match="expected 1"):
        MultistepPurifier(MultistepConfig(model=_CONFIG), small_network)(torch.zeros(1, 1, 8, 8), 0.5, noises)


def test_more_noise_than_in_training_is_refused(small_network: SongUNet) -> None:
    purifiers: list[Purifier] = [
        ConsistencyPurifier(_CONFIG, small_network),
        MultistepPurifier(MultistepConfig(model=_CONFIG), small_network),
    ]
    for purifier in purifiers:
        with pytest.raises(InputError, match="use sigma <= 2"):
            purifier.timestep(2.5)


@pytest.mark.parametrize("ratio", [0.0, 1.0, math.nan])
def test_a_second_time_outside_the_first_is_refused(ratio: float) -> None:
    with pytest.raises(ValueError, match="second_ratio"):
        MultistepConfig(second_ratio=ratio)
