"""Purifiers obey the equations that define them."""

import math
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor, nn

from purecert.engine.errors import InputError
from purecert.train.networks.song_unet import SongUNet
from purecert.train.purifiers.base import Purifier
from purecert.train.purifiers.consistency import ConsistencyPurifier, MultistepConfig, MultistepPurifier
from purecert.train.purifiers.identity import IdentityConfig, IdentityPurifier
from purecert.train.purifiers.karras import KarrasConfig, boundary_scales, denoise, denoise_each
from purecert.train.schedules import NoiseRange
from support.golden import golden

_CONFIG = KarrasConfig(levels=NoiseRange(t_max=4.0))


def test_the_identity_returns_its_input() -> None:
    x = torch.randn(2, 1, 8, 8)
    purifier = IdentityPurifier(IdentityConfig())
    assert purifier(x, 0.5) is x
    assert (purifier.time_rule, purifier.noise_inputs(0.5)) == ("none", ())


def test_at_the_lowest_time_the_image_comes_back(small_network: SongUNet) -> None:
    x = torch.randn(2, 1, 8, 8)
    torch.testing.assert_close(denoise(small_network, _CONFIG, x, _CONFIG.levels.t_min), x, rtol=0, atol=0)


@pytest.mark.parametrize("t", [0.002, 0.5, 2.0, 80.0])
def test_scales_follow_the_published_equations(t: float) -> None:
    consistency, edm = boundary_scales(t, 0.5, 0.002), boundary_scales(t, 0.5, 0.0)
    assert consistency.skip == pytest.approx(0.25 / ((t - 0.002) ** 2 + 0.25), rel=1e-12)
    assert consistency.out == pytest.approx((t - 0.002) * 0.5 / math.sqrt(t**2 + 0.25), rel=1e-12)
    assert consistency.inp == edm.inp == pytest.approx(1 / math.sqrt(t**2 + 0.25), rel=1e-12)
    # Karras et al. 2022, table 1: what F has to predict then has unit variance.
    assert edm.out**2 == pytest.approx((1 - edm.skip) ** 2 * 0.25 + edm.skip**2 * t**2, rel=1e-9)


class _Recorded(nn.Module):
    """Answers with a golden raw output, if asked with the golden input."""

    def __init__(self, expected_input: Tensor, expected_label: Tensor, answer: Tensor) -> None:
        super().__init__()
        self.expected_input, self.expected_label, self.answer = expected_input, expected_label, answer

    def forward(self, x: Tensor, label: Tensor) -> Tensor:
        torch.testing.assert_close(x, self.expected_input, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(label.expand(len(x)), self.expected_label, atol=0, rtol=1e-6)
        return self.answer


def test_the_consistency_form_gives_the_published_images() -> None:
    arrays = golden("jcm_ncsnpp_A").arrays
    for level in range(len(arrays["x"])):
        sigma = arrays["sigma"][level]
        assert bool((sigma == sigma[0]).all())
        images = {key: arrays[key][level].permute(0, 3, 1, 2) for key in ("x", "net_in", "net_out", "distiller")}
        network = _Recorded(images["net_in"], arrays["net_t"][level], images["net_out"])
        found = denoise(network, KarrasConfig(), images["x"], float(sigma[0]))
        torch.testing.assert_close(found, images["distiller"], atol=2e-5, rtol=1e-5)


def test_a_time_per_image_agrees_with_one_image_at_a_time(small_network: SongUNet) -> None:
    x = torch.randn(3, 1, 8, 8)
    times = torch.tensor([0.002, 0.7, 3.9], dtype=torch.float64)
    rows = [denoise(small_network, _CONFIG, x[i : i + 1], float(t)) for i, t in enumerate(times)]
    torch.testing.assert_close(denoise_each(small_network, _CONFIG, x, times), torch.cat(rows))


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
    x, z = torch.randn(3, 1, 8, 8), torch.randn(3, 1, 1, 8, 8)
    once = denoise(small_network, _CONFIG, x, 1.0)
    again = once + math.sqrt(0.4**2 - 0.002**2) * z[:, 0]
    torch.testing.assert_close(purifier(x, 0.5, [z]), denoise(small_network, _CONFIG, again, 0.4))


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


def test_impossible_configurations_are_refused() -> None:
    with pytest.raises(ValueError, match="sigma_data"):
        KarrasConfig(sigma_data=0.0)
    with pytest.raises(ValueError, match="grid_points"):
        KarrasConfig(grid_points=1)
    with pytest.raises(ValueError, match="second_ratio"):
        MultistepConfig(second_ratio=1.0)
