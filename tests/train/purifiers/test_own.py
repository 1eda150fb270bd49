"""A denoiser of any convention is the same map of images on the [-1, 1] scale."""

import math

import pytest
import torch
from torch import Tensor, nn

from purecert.engine.errors import InputError
from purecert.train.purifiers.own import Denoiser, OwnPurifier, Predicts

_SIGMA, _SHRINK = 0.25, 0.7


class _Affine(nn.Module):
    """Returns a x + b, plus c for each unit of time where it is given one."""

    def __init__(self, a: float, b: float, c: float = 0.0) -> None:
        super().__init__()
        self.a, self.b, self.c = a, b, c

    def forward(self, x: Tensor, *times: Tensor) -> Tensor:
        shift = self.c * times[0][:, None, None, None] if times else torch.zeros(())
        return self.a * x + self.b + shift


@pytest.mark.parametrize("input_range", [(-1.0, 1.0), (0.0, 1.0), (0.0, 255.0)])
@pytest.mark.parametrize("predicts", ["image", "noise", "residual"])
def test_every_convention_is_one_map(input_range: tuple[float, float], predicts: Predicts) -> None:
    """Each network below shrinks images to grey by .7, on whatever scale and by whatever output."""
    low, high = input_range
    std, middle = (high - low) * _SIGMA, (high + low) / 2
    rest = 1 - _SHRINK
    affine = {
        "image": (_SHRINK, rest * middle),
        "noise": (rest / std, -rest * middle / std),
        "residual": (rest, -rest * middle),
    }[predicts]
    scale = 0.5  # of what the network sees: its slope is twice as steep
    denoiser = Denoiser(
        module=_Affine(affine[0] / scale, affine[1] - 3.0, 1.0),
        input_range=input_range,
        predicts=predicts,
        time=lambda sigma: 12 * sigma,
        scale=lambda _: scale,
        clips=False,
    )
    noisy = torch.randn(5, 3, 4, 4, generator=torch.Generator().manual_seed(0)) * 2
    clean = OwnPurifier(denoiser)(noisy, _SIGMA)
    assert torch.allclose(clean, _SHRINK * noisy, atol=1e-5)


def test_the_clean_image_is_limited_to_the_range_and_time_is_recorded() -> None:
    purifier = OwnPurifier(Denoiser(module=nn.Identity(), input_range=(0.0, 1.0)))
    assert purifier(torch.tensor([[[[-3.0, 0.5, 3.0]]]]), _SIGMA).tolist() == [[[[-1.0, 0.5, 1.0]]]]
    assert (purifier.timestep(_SIGMA), purifier.time_rule) == (None, "none")
    assert OwnPurifier(Denoiser(module=nn.Identity(), time=lambda sigma: 999 * sigma)).timestep(1.0) == 999


def test_what_is_no_denoiser_is_refused() -> None:
    with pytest.raises(InputError, match=r"expected the denoiser's range \(low, high\) with low < high"):
        Denoiser(module=nn.Identity(), input_range=(1.0, -1.0))
    for broken in ({"time": lambda _: math.nan}, {"scale": lambda _: 0.0}):
        with pytest.raises(InputError, match=r"a scale above 0 and a finite time at sigma 0.25"):
            Denoiser(module=nn.Identity(), **broken).constants(_SIGMA)
    with pytest.raises(InputError, match=r"keeps shape \[3, 8, 8\], it gave \[3, 4, 4\]"):
        OwnPurifier(Denoiser(module=nn.AvgPool2d(2)))(torch.zeros(1, 3, 8, 8), _SIGMA)
