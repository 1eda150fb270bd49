"""One step of a DDPM gives the clean image that a prediction of the noise implies."""

import math
from functools import cache

import pytest
import torch
from torch import Tensor

from purecert.engine.errors import InputError
from purecert.train.purifiers.base import apply_step
from purecert.train.purifiers.diffusion import DiffusionConfig, DiffusionPurifier
from purecert.train.schedules.betas import BetaSchedule, DiffusionRule
from support.denoisers import KnownAnswer, Recorder, random_network
from support.golden import golden, table

_STEPS = {"linear": 1000, "cosine": 4000}


@cache
def _alphas_cumprod(schedule: BetaSchedule) -> list[float]:
    """Return abar by the definitions, one factor at a time."""
    steps, product, result = _STEPS[schedule], 1.0, []
    for t in range(steps):
        if schedule == "linear":
            beta = 1e-4 + t / (steps - 1) * (0.02 - 1e-4)
        else:
            now, following = (math.cos((u / steps + 0.008) / 1.008 * math.pi / 2) ** 2 for u in (t, t + 1))
            beta = min(1 - following / now, 0.999)
        product *= 1 - beta
        result.append(product)
    return result


def _ideal(clean: Tensor, schedule: BetaSchedule) -> Recorder:
    """Return a network that predicts the noise as if ``clean`` were the only image there is."""

    def noise(x: Tensor, label: Tensor) -> Tensor:
        abar = _alphas_cumprod(schedule)[round(label.item())]
        return (x - math.sqrt(abar) * clean) / math.sqrt(1 - abar)

    return Recorder(noise)


@pytest.mark.parametrize("schedule", ["linear", "cosine"])
def test_an_ideal_prediction_gives_the_clean_image_back_at_every_time(schedule: BetaSchedule) -> None:
    clean = torch.rand(1, 1, 4, 4, dtype=torch.float64) * 2 - 1
    purifier = DiffusionPurifier(DiffusionConfig(schedule=schedule, steps=_STEPS[schedule]), _ideal(clean, schedule))
    noise = torch.randn(3, 1, 4, 4, dtype=torch.float64)
    for t in range(_STEPS[schedule]):
        abar = _alphas_cumprod(schedule)[t]
        for level in (math.sqrt((1 - abar) / abar), 0.8):  # that of t, and another
            found = apply_step(purifier.network, purifier.step_at(t, level), clean + level * noise)
            torch.testing.assert_close(found, clean.expand(3, -1, -1, -1), rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("schedule", "rule"), [("linear", "first-above"), ("cosine", "first-above"), ("cosine", "closed-form")]
)
def test_an_ideal_prediction_gives_the_clean_image_back_under_every_rule(
    schedule: BetaSchedule, rule: DiffusionRule
) -> None:
    clean = torch.rand(2, 3, 4, 4, dtype=torch.float64) * 2 - 1
    config = DiffusionConfig(schedule=schedule, steps=_STEPS[schedule], time_rule=rule)
    purifier = DiffusionPurifier(config, network := _ideal(clean, schedule))
    for sigma in (0.0, 0.05, 0.25, 0.5, 1.0, 3.0):
        noisy = clean + 2 * sigma * torch.randn_like(clean)
        torch.testing.assert_close(purifier(noisy, sigma), clean, rtol=0, atol=1e-6)
        assert network.labels.pop() == purifier.timestep(sigma)


@pytest.mark.parametrize("rule", ["first-above", "closed-form"])
def test_the_input_has_the_scale_that_the_rule_says(rule: DiffusionRule) -> None:
    # sqrt(abar) at t = 1158, and the share of the image at a noise of 2 sigma = .5
    share = math.sqrt(_alphas_cumprod("cosine")[1158]) if rule == "first-above" else 1 / math.sqrt(1.25)
    x = torch.randn(2, 1, 4, 4)
    network = KnownAnswer(share * x, torch.tensor([1158.0 if rule == "first-above" else 1159.0] * 2), 0 * x)
    config = DiffusionConfig(schedule="cosine", steps=4000, time_rule=rule, clip=False)
    found = DiffusionPurifier(config, network)(x, 0.25)
    # Without noise in it the image is only scaled back, by 1 / sqrt(abar) of the time asked.
    abar = _alphas_cumprod("cosine")[1158 if rule == "first-above" else 1159]
    torch.testing.assert_close(found, share / math.sqrt(abar) * x)


@pytest.mark.shared
@pytest.mark.parametrize(
    ("name", "schedule", "rescaled"),
    [("improved_diffusion_unet_A", "cosine", True), ("guided_diffusion_unet_A", "linear", False)],
)
@pytest.mark.parametrize("clip", [False, True])
def test_the_published_images_come_out(name: str, schedule: BetaSchedule, rescaled: bool, clip: bool) -> None:
    arrays = golden(name).arrays
    config = DiffusionConfig(
        schedule=schedule, steps=_STEPS[schedule], rescale_times=rescaled, learns_variance=True, clip=clip
    )
    for level in range(len(arrays["t"])):
        t = int(arrays["t"][level, 0])
        abar = _alphas_cumprod(schedule)[t]
        ratio = math.sqrt((1 - abar) / abar)
        network = KnownAnswer(arrays["x_t"][level], arrays["net_t"][level], arrays["net_out"][level])
        purifier = DiffusionPurifier(config, network)
        noisy = arrays["x_t"][level] / math.sqrt(abar)
        # A hair below the level of t, so that no rounding puts it above; t is still the first time above.
        assert purifier.timestep(ratio / 2 * (1 - 1e-9)) == t
        found = purifier(noisy, ratio / 2 * (1 - 1e-9))
        expected = arrays["pred_xstart_clipped" if clip else "pred_xstart_unclipped"][level]
        torch.testing.assert_close(found, expected, atol=3e-4 * max(1, ratio), rtol=1e-5)


@pytest.mark.shared
@pytest.mark.parametrize("schedule", ["linear", "cosine"])
def test_rescaled_times_are_the_published_ones(schedule: BetaSchedule) -> None:
    rows = [row for row in table("ddpm_alphas_cumprod") if row["schedule"] == schedule]
    assert len(rows) == 50
    for row in rows:
        steps, t = int(row["T"]), int(row["t"])
        for rescale in (False, True):
            config = DiffusionConfig(schedule=schedule, steps=steps, rescale_times=rescale)
            label = DiffusionPurifier(config, torch.nn.Identity()).step_at(t, 1.0).label
            assert label == pytest.approx(float(row["model_timestep_if_rescaled"]) if rescale else t, rel=1e-9)


def _with_variance(channels: int) -> Recorder:
    return Recorder(lambda x, label: torch.cat([x.sin(), torch.full_like(x, 1e9)], dim=1)[:, :channels])


def test_a_learned_variance_changes_nothing() -> None:
    x = torch.randn(2, 3, 8, 8)
    plain = DiffusionConfig(schedule="linear", steps=1000, clip=False)
    learned = DiffusionConfig(schedule="linear", steps=1000, clip=False, learns_variance=True)
    found = DiffusionPurifier(learned, _with_variance(6))(x, 0.25)
    torch.testing.assert_close(found, DiffusionPurifier(plain, _with_variance(3))(x, 0.25), rtol=0, atol=0)


def test_an_unexpected_variance_is_refused() -> None:
    purifier = DiffusionPurifier(DiffusionConfig(schedule="linear", steps=1000), _with_variance(6))
    with pytest.raises(ValueError, match="keep an image's shape"):
        purifier(torch.randn(2, 3, 8, 8), 0.25)


@pytest.mark.parametrize("family", ["song", "adm", "film"])
def test_one_step_is_the_equation_of_the_paper(family: str) -> None:
    network, x = random_network(family), torch.randn(3, 2, 8, 8)
    abar = _alphas_cumprod("linear")[259]
    x_t = math.sqrt(abar) * x
    expected = (x_t - math.sqrt(1 - abar) * network(x_t, torch.tensor([259.0]))) / math.sqrt(abar)
    purifier = DiffusionPurifier(DiffusionConfig(schedule="linear", steps=1000, clip=False), network)
    torch.testing.assert_close(purifier(x, 0.5), expected)


def test_clipping_limits_the_clean_image_to_its_scale() -> None:
    clean = torch.tensor([-1.5, -1.0, 0.25, 1.0, 7.0], dtype=torch.float64).reshape(1, 1, 1, 5)
    for clip, expected in ((True, clean.clamp(-1, 1)), (False, clean)):
        config = DiffusionConfig(schedule="cosine", steps=4000, clip=clip)
        purifier = DiffusionPurifier(config, _ideal(clean, "cosine"))
        torch.testing.assert_close(purifier(clean + 0.1, 0.25), expected, rtol=0, atol=1e-9)


def test_plans_record_rule_and_schedule() -> None:
    config = DiffusionConfig(schedule="cosine", steps=4000, time_rule="closed-form")
    purifier = DiffusionPurifier(config, torch.nn.Identity())
    assert (purifier.time_rule, purifier.noise_inputs(0.5)) == ("closed-form of cosine 4000", ())


def test_more_noise_than_the_schedule_has_is_refused() -> None:
    purifier = DiffusionPurifier(DiffusionConfig(schedule="linear", steps=1000), torch.nn.Identity())
    highest = math.sqrt(1 / _alphas_cumprod("linear")[-1] - 1) / 2
    assert purifier.timestep(highest * (1 - 1e-9)) == 999
    with pytest.raises(InputError, match=f"more noise than the schedule has; use sigma <= {highest:.6g}"):
        purifier.step(highest * (1 + 1e-9))


@pytest.mark.parametrize(
    ("schedule", "steps", "rule", "words"),
    [
        ("cosine", 1, "first-above", "steps must be at least 2"),
        ("linear", 1000, "closed-form", "holds for the cosine schedule"),
        ("linear", 20, "first-above", "more than 20 steps"),  # beta would reach 1
    ],
)
def test_impossible_configurations_are_refused(
    schedule: BetaSchedule, steps: int, rule: DiffusionRule, words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        DiffusionConfig(schedule=schedule, steps=steps, time_rule=rule)


def test_the_shortest_linear_schedule_works() -> None:
    purifier = DiffusionPurifier(DiffusionConfig(schedule="linear", steps=21), torch.nn.Identity())
    assert purifier.timestep(0.25) >= 1
    assert all(math.isfinite(value) for value in purifier.step_at(20, 1.0))
