"""Losses agree with their equations, written out image by image."""

import math

import pytest
import torch

from purecert.train.networks.song.unet import SongUNet
from purecert.train.objectives.consistency import consistency_loss, huber_scale, pseudo_huber
from purecert.train.purifiers.karras import KarrasConfig, denoise
from purecert.train.schedules.noise_levels import NoiseRange


def test_equal_images_have_no_distance() -> None:
    x = torch.randn(3, 1, 8, 8)
    assert pseudo_huber(x, x, 0.1).tolist() == pytest.approx([0, 0, 0], abs=1e-7)


@pytest.mark.parametrize(("difference", "width"), [(3.0, 4.0), (1e-3, 1.0), (1e3, 0.01)])
def test_the_distance_is_a_hypotenuse_less_its_width(difference: float, width: float) -> None:
    a, b = torch.zeros(1, 1, 1, 1, dtype=torch.float64), torch.full((1, 1, 1, 1), difference, dtype=torch.float64)
    assert pseudo_huber(a, b, width).item() == pytest.approx(math.hypot(difference, width) - width, rel=1e-9)


def test_the_width_is_the_published_one_for_cifar10() -> None:
    assert huber_scale(3 * 32 * 32) == pytest.approx(0.03, abs=1e-4)  # Song and Dhariwal 2023, section 3.3


def test_the_consistency_loss_is_the_weighted_distance_of_neighbours(small_network: SongUNet) -> None:
    config = KarrasConfig(levels=NoiseRange(t_max=4.0))
    clean, noise = torch.randn(3, 1, 8, 8), torch.randn(3, 1, 8, 8)
    low, high = torch.tensor([[0.002, 0.5, 2.0], [0.1, 0.7, 3.0]], dtype=torch.float64)
    total = 0.0
    for i, (t, s) in enumerate(zip(high.tolist(), low.tolist(), strict=True)):
        x, z = clean[i : i + 1], noise[i : i + 1]
        moved, target = (denoise(small_network, config, x + level * z, level) for level in (t, s))
        total += (math.hypot(float((moved - target).detach().norm()), huber_scale(64)) - huber_scale(64)) / (t - s)
    found = consistency_loss(small_network, config, clean, noise, high, low)
    assert found.item() == pytest.approx(total / 3, rel=1e-4)


def test_the_target_of_the_consistency_loss_gets_no_gradient(small_network: SongUNet) -> None:
    config = KarrasConfig(levels=NoiseRange(t_max=4.0))
    times = torch.tensor([0.7], dtype=torch.float64)
    clean, noise = torch.randn(1, 1, 8, 8), torch.randn(1, 1, 8, 8)
    # At the boundary D is the identity, so only a gradient through the target could reach the weights.
    lowest = torch.tensor([config.levels.t_min], dtype=torch.float64)
    consistency_loss(small_network, config, clean, noise, lowest, times).backward()
    assert all(p.grad is None or not p.grad.any() for p in small_network.parameters())
