"""Plain denoisers of [0, 1] images as purifiers of [-1, 1] images, whether they answer the image or its noise."""

import pytest
import torch
from torch import Tensor

from purecert.train.purifiers.gaussian import GaussianConfig, GaussianPurifier
from support.denoisers import Recorder, random_network

_IMAGE, _NOISE = GaussianConfig(predicts="image"), GaussianConfig(predicts="noise")


def _own_input(x: Tensor, label: Tensor) -> Tensor:
    return x


def _label_plane(x: Tensor, label: Tensor) -> Tensor:
    return label.expand(x.shape)


def test_a_network_that_changes_nothing_is_no_purifier() -> None:
    x = 3 * torch.randn(2, 3, 4, 4)
    torch.testing.assert_close(GaussianPurifier(_IMAGE, Recorder(_own_input))(x, 0.25), x)


def test_an_image_that_is_all_noise_leaves_black() -> None:
    x = 3 * torch.randn(2, 3, 4, 4)
    found = GaussianPurifier(_NOISE, Recorder(_own_input))(x, 0.25)
    torch.testing.assert_close(found, torch.full_like(x, -1), rtol=0, atol=1e-5)


@pytest.mark.parametrize("sigma", [0.0, 0.05, 0.25, 1.0])
def test_the_label_is_the_noise_level_in_pixel_units(sigma: float) -> None:
    x = torch.randn(2, 3, 4, 4)
    image = GaussianPurifier(_IMAGE, Recorder(_label_plane))
    torch.testing.assert_close(image(x, sigma), torch.full_like(x, 2 * sigma - 1))
    torch.testing.assert_close(GaussianPurifier(_NOISE, Recorder(_label_plane))(x, sigma), x - 2 * sigma)
    assert image.timestep(sigma) == 2 * sigma  # as plans record it, on the [-1, 1] scale


def test_an_ideal_answer_of_either_form_gives_the_clean_image() -> None:
    clean, noise = torch.rand(2, 3, 4, 4), 0.25 * torch.randn(2, 3, 4, 4)  # in pixels of [0, 1]
    noisy = 2 * (clean + noise) - 1
    image = GaussianPurifier(_IMAGE, Recorder(lambda x, label: x - noise))
    told_noise = GaussianPurifier(_NOISE, Recorder(lambda x, label: x - clean))
    for purifier in (image, told_noise):
        torch.testing.assert_close(purifier(noisy, 0.25), 2 * clean - 1)


@pytest.mark.parametrize("family", ["ffdnet", "dncnn"])
def test_networks_get_images_of_the_0_to_1_scale(family: str) -> None:
    network, x = random_network(family), torch.randn(3, 2, 8, 8)
    raw = network((x + 1) / 2, torch.tensor([0.25]))
    torch.testing.assert_close(GaussianPurifier(_IMAGE, network)(x, 0.25), 2 * raw - 1)
    torch.testing.assert_close(GaussianPurifier(_NOISE, network)(x, 0.25), x - 2 * raw)


@pytest.mark.parametrize(("clip", "expected"), [(False, [-3.0, -1.0, 0.5, 1.0, 2.0]), (True, [-1, -1, 0.5, 1, 1])])
def test_clipping_limits_the_clean_image_to_its_scale(clip: bool, expected: list[float]) -> None:
    x = torch.tensor([-3.0, -1.0, 0.5, 1.0, 2.0]).reshape(1, 1, 1, 5)
    found = GaussianPurifier(GaussianConfig(clip=clip), Recorder(_own_input))(x, 0.25)
    torch.testing.assert_close(found.flatten(), torch.tensor(expected))


def test_plans_record_that_no_rule_was_needed() -> None:
    purifier = GaussianPurifier(_IMAGE, Recorder(_own_input))
    assert (purifier.time_rule, purifier.noise_inputs(0.25)) == ("the noise level itself", ())
