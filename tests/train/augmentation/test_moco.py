"""MoCo's views: which changes happen how often, and that they belong to the sample."""

import pytest
import torch

from purecert.train.augmentation.moco import MocoView, MocoViews
from purecert.train.fitting.draws import Draws

_STILL = {"least_area": 1.0, "jitter_share": 0.0, "grey_share": 0.0, "blur_share": 0.0}


def _images(rows: int) -> torch.Tensor:
    return torch.rand(rows, 3, 16, 16, generator=torch.Generator().manual_seed(0)) * 2 - 1


def test_the_views_are_those_of_moco_v3() -> None:
    views = MocoViews()
    for view in (views.first, views.second):
        assert (view.least_area, view.jitter, view.jitter_share) == (0.08, (0.4, 0.4, 0.2, 0.1), 0.8)
        assert (view.grey_share, view.blur_widths) == (0.2, (0.1, 2.0))
    assert [view.blur_share for view in (views.first, views.second)] == [1.0, 0.1]
    assert [view.solarize_share for view in (views.first, views.second)] == [0.0, 0.2]


def test_autocast_rounds_no_pixel() -> None:
    images = _images(8)
    plain = MocoViews()(images, Draws(5, 8))
    with torch.autocast("cpu", torch.bfloat16):
        found = MocoViews()(images, Draws(5, 8))
    assert all(torch.equal(a, b) for a, b in zip(plain, found, strict=True))


def test_rows_of_two_processes_are_those_of_one() -> None:
    images = _images(8)
    whole = MocoViews()(images, Draws(5, 8))
    for rows in (slice(0, 4), slice(4, 8)):
        part = MocoViews()(images[rows], Draws(5, 8, rows))
        for all_, own in zip(whole, part, strict=True):
            torch.testing.assert_close(all_[rows], own)


def test_views_differ_and_stay_on_the_scale() -> None:
    images = _images(32)
    plain, first, second = MocoViews()(images, Draws(5, 32))
    for view in (first, second):
        assert float(view.min()) >= -1 - 1e-5
        assert float(view.max()) <= 1 + 1e-5
        assert float((view - plain).abs().mean()) > 0.05
    assert float((first - second).abs().mean()) > 0.05


@pytest.mark.parametrize(
    ("name", "share"), [("grey_share", 0.2), ("blur_share", 0.1), ("solarize_share", 0.3), ("jitter_share", 0.8)]
)
def test_a_change_happens_as_often_as_it_should(name: str, share: float) -> None:
    images = _images(400)
    view = MocoView(**(_STILL | {name: share}))  # type: ignore[arg-type]  # each field has its type
    found = view.apply(images, Draws(2, 400))
    kept = [(found - same).abs().amax(dim=(1, 2, 3)) < 1e-5 for same in (images, images.flip(3))]
    changed = 400 - int((kept[0] | kept[1]).sum())
    assert abs(changed - 400 * share) < 4 * (400 * share * (1 - share)) ** 0.5
    unchanged = 400 - changed
    assert abs(int(kept[1].sum()) - unchanged / 2) < 4 * unchanged**0.5 / 2  # mirrored


@pytest.mark.parametrize(
    "changes",
    [{"least_area": 0.0}, {"blur_share": 1.1}, {"blur_widths": (0.0, 1.0)}, {"jitter": (0.1, 0.1, 0.1, 0.6)}],
)
def test_impossible_numbers_are_refused(changes: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="must"):
        MocoView(**changes)  # type: ignore[arg-type]  # each field has its type
