"""The committed demo model is small, fast and good at its task."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from purecert.train.fitting.data import Images, load_images
from purecert.train.models.checkpoints import Model, demo_model_path, load_model


@pytest.fixture(scope="module")
def demo() -> Model:
    return load_model(demo_model_path())


@pytest.fixture(scope="module")
def images() -> Images:
    return load_images("digits:test")


def _logits(model: Model, noisy: torch.Tensor, sigma: float) -> torch.Tensor:
    logits: torch.Tensor = model.classifier(model.preprocessing(model.purifier(noisy, sigma)))
    return logits


def _accuracy(model: Model, images: Images, sigma: float, *, purified: bool = True) -> float:
    noise = torch.randn(images.pixels.shape, generator=torch.Generator().manual_seed(0))
    noisy = images.pixels + 2 * sigma * noise
    logits = _logits(model, noisy, sigma) if purified else model.classifier(model.preprocessing(noisy))
    return (logits.argmax(dim=1) == images.labels).double().mean().item()


def test_the_file_has_at_most_2_mb() -> None:
    assert demo_model_path().stat().st_size <= 2_000_000


def test_a_row_costs_at_most_4_mflop(demo: Model) -> None:
    with FlopCounterMode(display=False) as counter:
        _logits(demo, torch.zeros(1, *demo.input_shape), 0.5)
    assert counter.get_total_flops() <= 4_000_000


def test_it_says_what_it_is(demo: Model) -> None:
    assert (demo.input_shape, demo.classes, demo.data) == ((1, 8, 8), 10, "digits:train")
    assert demo.class_names == tuple("0123456789")
    assert "engine-train digits" in demo.sources[0]
    assert demo.licence == "Apache-2.0, the purecert authors; made from UCI optdigits (CC BY 4.0)"


# Chance is .1; the standard deviation of an accuracy over 500 images is at most .022.
@pytest.mark.parametrize(("sigma", "least"), [(0.25, 0.85), (0.5, 0.65), (1.0, 0.25)])
def test_it_reads_noisy_digits_it_was_not_trained_on(demo: Model, images: Images, sigma: float, least: float) -> None:
    assert _accuracy(demo, images, sigma) > least


@pytest.mark.parametrize("sigma", [0.5, 1.0])
def test_the_purifier_is_what_makes_it_work(demo: Model, images: Images, sigma: float) -> None:
    assert _accuracy(demo, images, sigma) > _accuracy(demo, images, sigma, purified=False) + 0.1


@pytest.mark.parametrize("sigma", [0.25, 0.5, 1.0])
def test_purified_images_are_nearer_to_the_clean_ones(demo: Model, images: Images, sigma: float) -> None:
    noise = 2 * sigma * torch.randn(images.pixels.shape, generator=torch.Generator().manual_seed(0))
    left = demo.purifier(images.pixels + noise, sigma) - images.pixels
    assert left.square().mean() < 0.6 * noise.square().mean()
