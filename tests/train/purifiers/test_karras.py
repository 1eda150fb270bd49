"""The common parametrisation of EDM networks and consistency models follows its equations."""

import math

import pytest
import torch

from purecert.train.networks.song.unet import SongUNet
from purecert.train.purifiers.karras import KarrasConfig, boundary_scales, denoise, denoise_each
from purecert.train.schedules.noise_levels import NoiseRange

_CONFIG = KarrasConfig(levels=NoiseRange(t_max=4.0))


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


@pytest.mark.parametrize(("label_scale", "factor"), [(1.0, 0.25), (1000.0, 250.0)])
def test_the_label_is_a_multiple_of_the_logarithm(label_scale: float, factor: float) -> None:
    config = KarrasConfig(label_scale=label_scale)
    for t in (0.002, 0.5, 80.0):
        assert config.step(t, 0.002).label == pytest.approx(factor * math.log(t), rel=1e-12)


@pytest.mark.parametrize("label_scale", [1.0, 1000.0])
def test_a_time_per_image_agrees_with_one_image_at_a_time(small_network: SongUNet, label_scale: float) -> None:
    config = KarrasConfig(levels=_CONFIG.levels, sigma_data=0.4, label_scale=label_scale)
    x = torch.randn(3, 1, 8, 8)
    times = torch.tensor([0.002, 0.7, 3.9], dtype=torch.float64)
    rows = [denoise(small_network, config, x[i : i + 1], float(t)) for i, t in enumerate(times)]
    torch.testing.assert_close(denoise_each(small_network, config, x, times), torch.cat(rows))


@pytest.mark.parametrize(
    ("words", "change"),
    [
        ("sigma_data", {"sigma_data": 0.0}),
        ("sigma_data", {"sigma_data": math.nan}),
        ("grid_points", {"grid_points": 1}),
        ("label_scale", {"label_scale": 0.0}),
        ("label_scale", {"label_scale": math.inf}),
    ],
)
def test_impossible_configurations_are_refused(words: str, change: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=words):
        KarrasConfig(**change)  # type: ignore[arg-type]
