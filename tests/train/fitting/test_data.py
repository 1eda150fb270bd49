"""Training images are drawn by the seed alone and stay images."""

import pytest
import torch

from purecert.engine.errors import InputError
from purecert.train.fitting.data import Augmentation, Images, Sampler, load_images

_STILL = Augmentation(shift=0.0, turn=0.0, stretch=0.0)


def _sampler(images: Images, seed: int, augmentation: Augmentation) -> Sampler:
    generator = torch.Generator().manual_seed(seed)
    return Sampler(images=images, batch=16, augmentation=augmentation, generator=generator)


@pytest.fixture(scope="module")
def digits() -> Images:
    return load_images("digits:train")


def test_digits_come_on_the_network_scale_with_labels(digits: Images) -> None:
    assert digits.pixels.shape == (1297, 1, 8, 8)
    assert (digits.pixels.min(), digits.pixels.max()) == (-1, 1)
    assert (digits.classes, digits.class_names) == (10, tuple("0123456789"))
    assert digits.labels.bincount().tolist() == torch.bincount(digits.labels, minlength=10).tolist()


def test_an_unknown_dataset_is_refused() -> None:
    with pytest.raises(InputError, match="digits"):
        load_images("digits:validation")


def test_no_movement_is_the_image_itself(digits: Images) -> None:
    moved = _STILL.apply(digits.pixels[:50], torch.Generator())
    torch.testing.assert_close(moved, digits.pixels[:50], atol=1e-5, rtol=0)


def test_a_shift_of_one_pixel_moves_by_one_pixel() -> None:
    image = -torch.ones(400, 1, 8, 8)
    image[:, 0, 4, 4] = 1
    moved = Augmentation(shift=1.0, turn=0.0, stretch=0.0).apply(image, torch.Generator().manual_seed(0)) + 1
    # Bilinear sampling keeps a lone pixel's light and moves its centre by the shift, at most one pixel.
    torch.testing.assert_close(moved.sum(dim=(1, 2, 3)), torch.full((400,), 2.0), atol=1e-4, rtol=0)
    centre = (moved[:, 0] * torch.arange(8.0)).sum(dim=(1, 2)) / 2 - 4
    assert centre.abs().max() <= 1
    assert centre.std() == pytest.approx(1 / 3**0.5, rel=0.15)


def test_moved_images_stay_on_the_scale(digits: Images) -> None:
    moved = Augmentation(shift=2.0, turn=45.0, stretch=0.5).apply(digits.pixels, torch.Generator().manual_seed(0))
    assert moved.min() >= -1
    assert moved.max() <= 1 + 1e-6


def test_a_seed_draws_the_same_batches(digits: Images) -> None:
    first, second = (_sampler(digits, 7, Augmentation()) for _ in range(2))
    for _ in range(3):
        (a, a_labels), (b, b_labels) = first.draw(), second.draw()
        assert torch.equal(a, b)
        assert torch.equal(a_labels, b_labels)
    assert not torch.equal(first.draw()[0], _sampler(digits, 8, Augmentation()).draw()[0])


def test_labels_follow_their_images(digits: Images) -> None:
    pixels, labels = _sampler(digits, 0, _STILL).draw()
    distance = torch.cdist(pixels.flatten(1), digits.pixels.flatten(1))
    assert torch.equal(labels, digits.labels[distance.argmin(dim=1)])
