"""Example 3.1 of Consistency Purification (Li et al. 2024) in closed form: data that are -1 or 1 with equal chance.

The statement is derived here; of the paper we had only what it claims: the probability-flow ODE sends x to its sign,
the posterior mean does not reach the data. With noise of std t the posterior mean is D(x, t) = tanh(x / t^2). The ODE
dx/dt = (x - D(x, t)) / t keeps every quantile of the noisy data, whose distribution function at t is
F(x, t) = (Phi((x + 1) / t) + Phi((x - 1) / t)) / 2. At t = 0 the quantiles above 1/2 lie at 1, the others at -1, and
F(x, t) > 1/2 exactly where x > 0. So the ODE ends at the sign of x, whatever t is.
"""

import math

import numpy as np
import pytest
import torch
from scipy.special import ndtr
from torch import Tensor, nn

from purecert.train.objectives.distillation import heun_step
from purecert.train.purifiers.edm import EdmPurifier, OdeConfig, OdePurifier
from purecert.train.purifiers.karras import KarrasConfig

_CONFIG = KarrasConfig(sigma_data=1.0)  # the std of such data
_SIGMAS = [0.1, 0.25, 0.5, 1.0]
_POINTS = torch.tensor([-4.0, -1.3, -0.4, -0.02, 0.02, 0.4, 1.3, 4.0], dtype=torch.float64).view(-1, 1, 1, 1)


class TwoPoints(nn.Module):
    """The network F with which D(x, t) = skip x + out F is tanh(x / t^2) exactly."""

    def forward(self, scaled: Tensor, label: Tensor) -> Tensor:
        t = (4 * label.double()).exp()[:, None, None, None]
        norm = (t.square() + 1).sqrt()
        x = scaled * norm
        return (torch.tanh(x / t.square()) - x / norm.square()) / (t / norm)


def _quantile(x: Tensor, t: float) -> np.ndarray:
    values = x.flatten().numpy()
    return np.asarray((ndtr((values + 1) / t) + ndtr((values - 1) / t)) / 2)


@pytest.mark.parametrize("sigma", _SIGMAS)
def test_the_ode_sends_x_to_its_sign(sigma: float) -> None:
    ends = OdePurifier(OdeConfig(model=_CONFIG, steps=100), TwoPoints())(_POINTS, sigma)
    torch.testing.assert_close(ends, _POINTS.sign(), rtol=0, atol=1e-3)


def test_the_ode_keeps_every_quantile_on_its_way() -> None:
    grid = _CONFIG.levels.ascending_grid(400).flip(0)
    x = _POINTS
    start = int((grid > 2.0).sum())
    before = _quantile(x, float(grid[start]))
    for high, low in zip(grid[start:-1], grid[start + 1 :], strict=True):
        x = heun_step(TwoPoints(), _CONFIG, x, high.repeat(len(x)), low.repeat(len(x)))
        if low > 0.1:  # below, a quantile moves from 0 to 1 within less than the error of a step
            np.testing.assert_allclose(_quantile(x, float(low)), before, atol=2e-3)
    torch.testing.assert_close(x, _POINTS.sign(), rtol=0, atol=0.05)


@pytest.mark.parametrize("sigma", _SIGMAS)
def test_the_posterior_mean_does_not_reach_the_data(sigma: float) -> None:
    t = 2 * sigma
    x = torch.linspace(-2, 2, 41, dtype=torch.float64).view(-1, 1, 1, 1) * t**2  # |x| / t^2 <= 2
    means = EdmPurifier(_CONFIG, TwoPoints())(x, sigma)
    torch.testing.assert_close(means, torch.tanh(x / t**2), rtol=1e-5, atol=1e-6)
    assert float(means.abs().max()) < math.tanh(2) + 1e-6


@pytest.mark.parametrize("sigma", [0.5, 1.0])
def test_the_mean_is_nearer_on_average_and_the_sign_is_on_the_data(sigma: float) -> None:
    t = 2 * sigma
    z = torch.linspace(-8, 8, 4001, dtype=torch.float64)
    weight = torch.exp(-z.square() / 2)
    noisy = (1 + t * z).view(-1, 1, 1, 1)  # of the image 1; -1 is its mirror image
    mean = EdmPurifier(_CONFIG, TwoPoints())(noisy, sigma).flatten()
    errors = [float(((end - 1).square() * weight).sum() / weight.sum()) for end in (mean, noisy.sign().flatten())]
    assert errors[1] == pytest.approx(4 * float(ndtr(-1 / t)), rel=1e-2)  # the sign is wrong by 2, with this chance
    assert errors[0] < errors[1]
