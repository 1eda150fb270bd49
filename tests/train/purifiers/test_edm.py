"""EDM networks as purifiers: one denoising step, and the probability-flow ODE against its closed form."""

import math
from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn

from purecert.engine.errors import InputError
from purecert.train.purifiers.base import FixedTimes
from purecert.train.purifiers.edm import EdmPurifier, OdeConfig, OdePurifier
from purecert.train.purifiers.karras import KarrasConfig
from purecert.train.schedules.noise_levels import NoiseRange
from support.denoisers import FAMILIES, AtLabel, KnownAnswer, Recorder, random_network, rounded
from support.golden import golden

_SHORT = KarrasConfig(levels=NoiseRange(t_max=4.0), sigma_data=0.4)


def _denoised(network: nn.Module, x: Tensor, t: float, sigma_data: float) -> Tensor:
    """Return D(x, t) by Karras et al. 2022, eq. 7 and table 1."""
    variance = t**2 + sigma_data**2
    raw: Tensor = network(x / math.sqrt(variance), torch.tensor([math.log(t) / 4]))
    return sigma_data**2 / variance * x + t * sigma_data / math.sqrt(variance) * raw


@pytest.mark.shared
@pytest.mark.parametrize(
    ("name", "key", "label_scale", "atol"),
    [
        ("edm_ddpmpp_A", "denoised", 1, 2e-5),
        ("edm_ncsnpp_A", "denoised", 1, 2e-5),
        ("jcm_ncsnpp_A", "denoiser", 1, 2e-5),
        ("cm_unet_cond_A", "denoised_edm_form", 1000, 2e-4),
        ("cm_unet_uncond_A", "denoised_edm_form", 1000, 2e-4),
    ],
)
def test_the_published_images_come_out(name: str, key: str, label_scale: float, atol: float) -> None:
    arrays = golden(name).arrays
    if name.startswith("jcm"):  # its images are NHWC
        arrays = arrays | {image: arrays[image].permute(0, 1, 4, 2, 3) for image in ("x", "net_in", "net_out", key)}
    for level in range(len(arrays["x"])):
        for row in range(2):  # the noise may differ within a batch, and a purifier has one level
            x, net_in, net_t, net_out, expected = (
                arrays[part][level, row : row + 1] for part in ("x", "net_in", "net_t", "net_out", key)
            )
            purifier = EdmPurifier(KarrasConfig(label_scale=label_scale), KnownAnswer(net_in, net_t, net_out))
            found = purifier(x, float(arrays["sigma"][level, row]) / 2)
            torch.testing.assert_close(found, expected, atol=atol, rtol=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(("rule", "t"), [("exact", 1.0), ("nearest-2sigma", None), ("nearest-sigma", None)])
def test_one_step_is_skip_x_plus_out_f(family: str, rule: str, t: float | None) -> None:
    config = KarrasConfig(sigma_data=0.4, time_rule=rule)  # type: ignore[arg-type]
    network, x = random_network(family), 2 * torch.randn(3, 2, 8, 8)
    purifier = EdmPurifier(config, network)
    time = t or purifier.timestep(0.5)
    torch.testing.assert_close(purifier(x, 0.5), _denoised(network, x, time, 0.4))


class _IdealNetwork(nn.Module):
    """F with which D is the mean of Gaussian images N(0, s^2) behind noisy ones: D(x, t) = x s^2 / (s^2 + t^2)."""

    def __init__(self, s: float, sigma_data: float) -> None:
        super().__init__()
        self.s, self.sigma_data = s, sigma_data

    def forward(self, scaled: Tensor, label: Tensor) -> Tensor:
        t = torch.exp(4 * label.double())
        norm = torch.sqrt(t**2 + self.sigma_data**2)
        x = scaled * norm
        clean = x * self.s**2 / (self.s**2 + t**2)
        return (clean - self.sigma_data**2 / norm**2 * x) / (t * self.sigma_data / norm)


def _gaussian_ode(steps: int | None, s: float = 0.7) -> OdePurifier:
    # From so low a last time Euler's step to 0 errs by less than 1e-8.
    model = KarrasConfig(levels=NoiseRange(t_min=1e-4), sigma_data=0.5)
    return OdePurifier(OdeConfig(model=model, steps=steps), _IdealNetwork(s, 0.5))


def test_the_ideal_denoiser_of_gaussian_images_comes_out_in_one_step() -> None:
    x = torch.randn(2, 1, 4, 4, dtype=torch.float64)
    found = EdmPurifier(KarrasConfig(), _IdealNetwork(0.7, 0.5))(x, 0.5)
    torch.testing.assert_close(found, x * 0.49 / (0.49 + 1), rtol=1e-6, atol=0)


@pytest.mark.parametrize("sigma", [0.25, 0.5, 1.0])
def test_the_ode_converges_to_its_closed_form_at_second_order(sigma: float) -> None:
    x, s, t = torch.ones(1, 1, 1, 1, dtype=torch.float64), 0.7, 2 * sigma
    # dx/dt = (x - D) / t = x t / (s^2 + t^2) is solved by x(t) = c sqrt(s^2 + t^2).
    exact = s / math.hypot(s, t)
    # k steps are k - 1 of Heun's and Euler's last, so the number of Heun's doubles from one to the next.
    errors = [abs(_gaussian_ode(k)(x, sigma).item() - exact) for k in (17, 33, 65, 129)]
    for coarse, fine in pairwise(errors):
        assert coarse / fine == pytest.approx(4, abs=0.15)
    assert errors[-1] < 2e-4


def test_all_points_of_the_grid_are_close_to_the_closed_form() -> None:
    x = torch.ones(1, 1, 1, 1, dtype=torch.float64)
    model = KarrasConfig(time_rule="nearest-2sigma", grid_points=81)
    found = OdePurifier(OdeConfig(model=model), _IdealNetwork(0.7, 0.5))(x, 0.5)
    assert found.item() == pytest.approx(0.7 / math.hypot(0.7, 0.9654), abs=1e-3)  # the grid's time, table 1.3


@pytest.mark.parametrize("family", FAMILIES)
def test_one_step_of_the_ode_is_the_edm_step(family: str) -> None:
    network, x = random_network(family), torch.randn(3, 2, 8, 8)
    found = OdePurifier(OdeConfig(model=_SHORT, steps=1), network)(x, 0.5)
    torch.testing.assert_close(found, EdmPurifier(_SHORT, network)(x, 0.5), rtol=0, atol=0)


def _heun(network: nn.Module, x: Tensor, times: list[float], sigma_data: float) -> Tensor:
    """Return the end of algorithm 1 of Karras et al. 2022 without churn, line by line."""
    times = [*times, 0.0]
    for i in range(len(times) - 1):
        d = (x - _denoised(network, x, times[i], sigma_data)) / times[i]
        euler = x + (times[i + 1] - times[i]) * d
        if times[i + 1] != 0:
            d_next = (euler - _denoised(network, euler, times[i + 1], sigma_data)) / times[i + 1]
            euler = x + (times[i + 1] - times[i]) * (d / 2 + d_next / 2)
        x = euler
    return x


@pytest.mark.parametrize("family", ["song", "adm", "film"])
def test_k_steps_are_the_published_algorithm(family: str) -> None:
    network, x = random_network(family), torch.randn(3, 2, 8, 8)
    high, low = 1.0 ** (1 / 7), 0.002 ** (1 / 7)
    times = [(high + i / 3 * (low - high)) ** 7 for i in range(4)]
    found = OdePurifier(OdeConfig(model=_SHORT, steps=4), network)(x, 0.5)
    torch.testing.assert_close(found, _heun(network, x, times, 0.4), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("family", ["song", "adm", "film"])
def test_without_a_number_of_steps_every_lower_grid_point_is_one(family: str) -> None:
    network, x = random_network(family), torch.randn(3, 2, 8, 8)
    config = KarrasConfig(sigma_data=0.4, time_rule="nearest-2sigma")
    high, low = 80.0 ** (1 / 7), 0.002 ** (1 / 7)
    grid = [(high + i / 17 * (low - high)) ** 7 for i in range(18)]
    found = OdePurifier(OdeConfig(model=config), network)(x, 0.5)
    torch.testing.assert_close(found, _heun(network, x, grid[10:], 0.4), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("steps", [None, 1, 2, 5])
def test_the_labels_are_those_that_the_network_is_asked_with(steps: int | None) -> None:
    for rule in ("exact", "nearest-2sigma"):
        for sigma in (0.0, math.nextafter(0.001, 1), 0.12, 0.5, 2.0):
            _assert_labels(steps, rule, sigma)


def _assert_labels(steps: int | None, rule: str, sigma: float) -> None:
    network = Recorder(lambda x, label: x)
    model = KarrasConfig(levels=NoiseRange(t_max=4.0), time_rule=rule)  # type: ignore[arg-type]
    purifier = OdePurifier(OdeConfig(model=model, steps=steps), network)
    purifier(torch.zeros(1, 1, 8, 8), sigma)
    labels = purifier.labels(sigma)
    assert len(set(labels)) == len(labels)
    assert {rounded(label) for label in labels} == set(network.labels)


@pytest.mark.parametrize(
    ("steps", "sigma", "calls"), [(1, 40, 1), (2, 40, 3), (18, 40, 35), (None, 40, 35), (None, 0.5, 15)]
)
def test_k_steps_take_2k_minus_1_calls(steps: int | None, sigma: float, calls: int) -> None:
    network = Recorder(lambda x, label: x)
    model = KarrasConfig(time_rule="nearest-2sigma")  # at sigma .5 points 10 .. 17 of the grid remain
    OdePurifier(OdeConfig(model=model, steps=steps), network)(torch.zeros(1, 1, 8, 8), sigma)
    assert len(network.labels) == calls


@pytest.mark.parametrize("steps", [None, 3])
def test_the_ode_runs_on_a_network_for_each_of_its_labels(steps: int | None) -> None:
    network, x = random_network("song"), torch.randn(2, 2, 8, 8)
    purifier = OdePurifier(OdeConfig(model=_SHORT, steps=steps), network)
    expected = purifier(x, 0.5)
    purifier.network = FixedTimes({label: AtLabel(network, label) for label in purifier.labels(0.5)})
    torch.testing.assert_close(purifier(x, 0.5), expected)


@pytest.mark.parametrize("steps", [None, 1, 3])
def test_clipping_limits_the_clean_image_only(steps: int | None) -> None:
    network, x = random_network("song"), 3 * torch.randn(4, 2, 8, 8)
    clipping = KarrasConfig(levels=_SHORT.levels, sigma_data=_SHORT.sigma_data, clip=True)
    free = OdePurifier(OdeConfig(model=_SHORT, steps=steps), network)(x, 0.5)
    assert free.abs().max() > 1
    torch.testing.assert_close(OdePurifier(OdeConfig(model=clipping, steps=steps), network)(x, 0.5), free.clamp(-1, 1))
    one_step = EdmPurifier(_SHORT, network)(x, 0.5)
    torch.testing.assert_close(EdmPurifier(clipping, network)(x, 0.5), one_step.clamp(-1, 1))


def test_plans_record_how_the_times_were_chosen() -> None:
    on_grid, network = KarrasConfig(time_rule="nearest-2sigma"), nn.Identity()
    rules = [
        OdePurifier(OdeConfig(model=on_grid), network).time_rule,
        OdePurifier(OdeConfig(steps=5), network).time_rule,
        EdmPurifier(on_grid, network).time_rule,
    ]
    grid = "nearest-2sigma of 18"
    assert rules == [f"{grid}, then Heun steps on the 18-point grid", "exact, then 5 Heun steps", grid]


def test_neither_takes_noise_of_its_own() -> None:
    network = nn.Identity()
    assert OdePurifier(OdeConfig(), network).noise_inputs(0.5) == ()
    assert EdmPurifier(KarrasConfig(), network).noise_inputs(0.5) == ()


def test_more_noise_than_in_training_is_refused() -> None:
    network = nn.Identity()
    for purifier in (EdmPurifier(_SHORT, network), OdePurifier(OdeConfig(model=_SHORT), network)):
        with pytest.raises(InputError, match="use sigma <= 2"):
            purifier.timestep(2.5)


def test_no_steps_are_refused() -> None:
    with pytest.raises(ValueError, match="steps must be at least 1"):
        OdeConfig(steps=0)
