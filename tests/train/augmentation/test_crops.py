"""Random boxes lie inside of the image, are as large as they should be, and are enlarged bilinearly."""

import math

import torch
from torch.nn import functional

from purecert.train.augmentation.crops import crop_and_enlarge, draw_boxes, enlarge, mirror_half
from purecert.train.fitting.draws import Draws


def test_a_box_is_enlarged_as_pytorch_enlarges_it_alone() -> None:
    torch.manual_seed(0)
    images = torch.rand(5, 2, 9, 9)
    boxes = torch.tensor([[0, 0, 9, 9], [2, 3, 4, 5], [8, 8, 1, 1], [0, 4, 9, 2], [5, 0, 3, 7]])
    found = enlarge(images, boxes)
    for image, (top, left, height, width), one in zip(images, boxes.tolist(), found, strict=True):
        alone = image[None, :, top : top + height, left : left + width]
        expected = functional.interpolate(alone, size=(9, 9), mode="bilinear", align_corners=False)[0]
        torch.testing.assert_close(one, expected, atol=1e-5, rtol=0)


def test_boxes_fit_and_have_the_area_and_shape_that_were_drawn() -> None:
    size, rows = 64, 4000
    boxes = draw_boxes(size, Draws(1, rows), 0.25)
    top, left, height, width = boxes.unbind(1)
    assert int(boxes[:, 2:].min()) >= 1
    assert int(boxes[:, :2].min()) >= 0
    assert int((top + height).max()) <= size
    assert int((left + width).max()) <= size
    share = height * width / size**2
    assert float(share.min()) > 0.25 - 2 / size
    assert 0.55 < float(share.mean()) < 0.65  # of those that are uniform in [.25, 1], large ones fit less often
    ratio = (width / height).log()
    assert float(ratio.abs().max()) < math.log(4 / 3) + 2 / 20
    assert abs(float(ratio.mean())) < 5 * float(ratio.std()) / math.sqrt(rows)
    # Where a box is small, its place is uniform among those in which it fits.
    free = size - height
    assert abs(float((top / free)[free > 30].mean()) - 0.5) < 0.05


def test_a_box_of_the_whole_area_changes_nothing() -> None:
    images = torch.rand(4, 1, 8, 8)
    torch.testing.assert_close(enlarge(images, torch.tensor([[0, 0, 8, 8]] * 4)), images)
    assert crop_and_enlarge(images, Draws(0, 4), 0.08).shape == images.shape


def test_half_of_the_images_are_mirrored() -> None:
    images = torch.rand(1000, 1, 2, 3)
    found = mirror_half(images, Draws(0, 1000))
    mirrored = (found == images.flip(3)).all(dim=3).all(dim=2).all(dim=1)
    same = (found == images).all(dim=3).all(dim=2).all(dim=1)
    assert bool((mirrored ^ same).all())
    assert 430 < int(mirrored.sum()) < 570
