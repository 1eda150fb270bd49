"""Distances between pixels agree with their formulas, pair by pair."""

from collections.abc import Callable

import pytest
import torch

from purecert.train.distances.pixels import Distance, Huber, huber_scale, l1, l2, pseudo_huber
from support import written_out as ref


@pytest.mark.parametrize(
    ("distance", "written"), [(l2, ref.mean_square), (l1, ref.mean_absolute), (Huber(), ref.hypotenuse)]
)
def test_each_pair_has_its_own_distance(distance: Distance, written: Callable[[ref.Pixels, ref.Pixels], float]) -> None:
    a, b = torch.randn(2, 4, 3, 5, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).unbind()
    wanted = [written(ref.pixels_of(p), ref.pixels_of(q)) for p, q in zip(a, b, strict=True)]
    assert distance(a, b).tolist() == pytest.approx(wanted, rel=1e-12)
    assert distance(a, a).tolist() == pytest.approx([0, 0, 0, 0], abs=1e-12)


@pytest.mark.parametrize(("difference", "width"), [(3.0, 4.0), (1e-3, 1.0), (1e3, 0.01)])
def test_the_pseudo_huber_distance_is_a_hypotenuse_less_its_width(difference: float, width: float) -> None:
    a, b = torch.zeros(1, 1, 1, 1, dtype=torch.float64), torch.full((1, 1, 1, 1), difference, dtype=torch.float64)
    wanted = (difference**2 + width**2) ** 0.5 - width
    assert pseudo_huber(a, b, width).item() == pytest.approx(wanted, rel=1e-9)
    assert Huber(width=width)(a, b).item() == pytest.approx(wanted, rel=1e-9)


def test_the_width_is_the_published_one_for_cifar10() -> None:
    assert huber_scale(3 * 32 * 32) == pytest.approx(0.03, abs=1e-4)  # Song and Dhariwal 2023, section 3.3


@pytest.mark.parametrize("width", [0.0, -1.0, float("nan")])
def test_a_width_of_nothing_is_refused(width: float) -> None:
    with pytest.raises(ValueError, match="width must be > 0"):
        Huber(width=width)
