"""A batch of several noise levels is purified as its images would be one by one."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from purecert.train.purifiers.base import Purifier
from purecert.train.purifiers.consistency import ConsistencyPurifier, MultistepConfig, MultistepPurifier
from purecert.train.purifiers.diffusion import DiffusionConfig, DiffusionPurifier
from purecert.train.purifiers.each import purify_each
from purecert.train.purifiers.edm import EdmPurifier, OdeConfig, OdePurifier
from purecert.train.purifiers.karras import KarrasConfig
from support import written_out as ref


class _WithVariance(ref.TinyNetwork):
    """A DDPM's network, which gives a variance after the noise."""

    def forward(self, x: Tensor, label: Tensor) -> Tensor:
        noise = super().forward(x, label / 1000)
        return torch.cat([noise, noise + 1], dim=1)


_DDPM = DiffusionConfig(schedule="linear", steps=100, learns_variance=True)
_KINDS: list[Callable[[nn.Module], Purifier]] = [
    lambda net: ConsistencyPurifier(KarrasConfig(clip=True), net),
    lambda net: EdmPurifier(KarrasConfig(time_rule="nearest-2sigma"), net),
    lambda net: OdePurifier(OdeConfig(steps=3), net),
    lambda net: DiffusionPurifier(_DDPM, _WithVariance()),
]


@pytest.mark.parametrize("build", _KINDS)
def test_each_image_is_purified_at_its_own_sigma(build: Callable[[nn.Module], Purifier]) -> None:
    purifier = build(ref.TinyNetwork())
    sigmas = torch.tensor([0.25, 1.0, 0.25, 0.4], dtype=torch.float64)
    noisy = torch.randn(4, 2, 3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * 2
    found = purify_each(purifier, noisy, sigmas)
    for row, sigma in enumerate(sigmas.tolist()):
        # one by one, the time reaches the network in FP32
        torch.testing.assert_close(found[row : row + 1], purifier(noisy[row : row + 1], sigma), rtol=1e-6, atol=1e-6)
    found.sum().backward()
    assert ref.reached(purifier)


def test_a_purifier_with_noise_of_its_own_is_refused() -> None:
    purifier = MultistepPurifier(MultistepConfig(), ref.TinyNetwork())
    with pytest.raises(ValueError, match="without noise of its own"):
        purify_each(purifier, torch.zeros(1, 2, 2, 2, dtype=torch.float64), torch.tensor([0.5], dtype=torch.float64))


def test_a_network_that_changes_an_images_shape_is_refused() -> None:
    purifier = EdmPurifier(KarrasConfig(), _WithVariance())
    with pytest.raises(ValueError, match="must keep an image's shape"):
        purify_each(purifier, torch.zeros(1, 2, 2, 2, dtype=torch.float64), torch.tensor([0.5], dtype=torch.float64))
