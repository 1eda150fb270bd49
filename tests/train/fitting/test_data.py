"""Training images are drawn by the seed alone and stay images."""

import pytest
import torch

from purecert.engine.errors import InputError
from purecert.train.fitting.data import Augmentation, Images, Sampler, hold_out, load_images
from purecert.train.fitting.draws import Draws

_STILL = Augmentation(shift=0.0, turn=0.0, stretch=0.0)


def _sampler(images: Images, seed: int, augmentation: Augmentation) -> Sampler:
    return Sampler(images=images, batch=16, augmentation=augmentation, seed=seed)


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
    assert torch.equal(_STILL.apply(digits.pixels[:50], Draws(0, 50)), digits.pixels[:50])
    nearly = Augmentation(shift=0.0, turn=0.0, stretch=1e-9).apply(digits.pixels[:50], Draws(0, 50))
    torch.testing.assert_close(nearly, digits.pixels[:50], atol=1e-5, rtol=0)


def test_a_mirror_changes_left_and_right_in_half_the_images(digits: Images) -> None:
    moved = Augmentation(shift=0.0, turn=0.0, stretch=0.0, mirror=True).apply(digits.pixels, Draws(0, 1297))
    sides = [(moved - pixels).abs().amax(dim=(1, 2, 3)) < 1e-5 for pixels in (digits.pixels, digits.pixels.flip(-1))]
    assert bool((sides[0] | sides[1]).all())
    assert 0.45 < float(sides[0].double().mean()) < 0.55


def test_a_shift_of_one_pixel_moves_by_one_pixel() -> None:
    image = -torch.ones(400, 1, 8, 8)
    image[:, 0, 4, 4] = 1
    moved = Augmentation(shift=1.0, turn=0.0, stretch=0.0).apply(image, Draws(0, 400)) + 1
    # Bilinear sampling keeps a lone pixel's light and moves its centre by the shift, at most one pixel.
    torch.testing.assert_close(moved.sum(dim=(1, 2, 3)), torch.full((400,), 2.0), atol=1e-4, rtol=0)
    centre = (moved[:, 0] * torch.arange(8.0)).sum(dim=(1, 2)) / 2 - 4
    assert centre.abs().max() <= 1
    assert centre.std() == pytest.approx(1 / 3**0.5, rel=0.15)


def test_moved_images_stay_on_the_scale(digits: Images) -> None:
    moved = Augmentation(shift=2.0, turn=45.0, stretch=0.5).apply(digits.pixels, Draws(0, 1297))
    assert moved.min() >= -1
    assert moved.max() <= 1 + 1e-6


def test_seed_stage_and_step_alone_decide_a_batch(digits: Images) -> None:
    sampler = _sampler(digits, 7, Augmentation())
    later, first = sampler.draw("stage", 5), sampler.draw("stage", 0)
    again = _sampler(digits, 7, Augmentation()).draw("stage", 5)
    assert torch.equal(again.images, later.images)
    assert torch.equal(again.labels, later.labels)
    assert torch.equal(again.draws.normal(3), later.draws.normal(3))
    others = (first, sampler.draw("other", 5), _sampler(digits, 8, Augmentation()).draw("stage", 5))
    assert not any(torch.equal(again.images, other.images) for other in others)


def test_processes_share_the_batch_of_one(digits: Images) -> None:
    sampler = _sampler(digits, 7, Augmentation())
    whole = sampler.draw("stage", 2)
    parts = [sampler.draw("stage", 2, rows) for rows in (slice(0, 8), slice(8, 16))]
    assert torch.equal(whole.labels, torch.cat([part.labels for part in parts]))
    torch.testing.assert_close(whole.images, torch.cat([part.images for part in parts]), rtol=0, atol=1e-6)
    assert torch.equal(whole.draws.normal(2), torch.cat([part.draws.normal(2) for part in parts]))


def test_labels_follow_their_images(digits: Images) -> None:
    batch = _sampler(digits, 0, _STILL).draw("stage", 0)
    distance = torch.cdist(batch.images.flatten(1), digits.pixels.flatten(1))
    assert torch.equal(batch.labels, digits.labels[distance.argmin(dim=1)])


def test_images_are_held_out_by_the_seed_and_none_is_on_both_sides(digits: Images) -> None:
    kept, held = hold_out(digits, 300, 0)
    assert (len(kept.labels), len(held.labels)) == (997, 300)
    rows = [
        sorted(map(bytes, x.numpy().astype("float32"))) for x in (digits.pixels, torch.cat([kept.pixels, held.pixels]))
    ]
    assert rows[0] == rows[1]
    assert torch.equal(hold_out(digits, 300, 0)[1].pixels, held.pixels)
    assert not torch.equal(hold_out(digits, 300, 1)[1].pixels, held.pixels)
    assert len({digits.fingerprint, kept.fingerprint, held.fingerprint, hold_out(digits, 300, 1)[0].fingerprint}) == 4


@pytest.mark.parametrize("count", [0, 1297])
def test_holding_out_none_or_all_is_refused(digits: Images, count: int) -> None:
    with pytest.raises(InputError, match=r"expected more than \d+ training images"):
        hold_out(digits, count, 0)
