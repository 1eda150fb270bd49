"""rRCM's terms are their equations, written out in float64; gradients reach the trained network's one side alone."""

import math

import pytest
import torch
from torch import Tensor, nn

from purecert.train.objectives.rrcm.contrast import consistency_term, contrastive_term, nce
from support import written_out as ref

_ROWS, _TAU = 4, 0.3


class _TinyEncoder(nn.Module):
    """c = tanh(A [means, mean squares] + b ln t) and p = B c."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        draw = torch.Generator().manual_seed(seed)
        self.inner = nn.Parameter(torch.randn(3, 4, generator=draw, dtype=torch.float64))
        self.slope = nn.Parameter(torch.randn(3, generator=draw, dtype=torch.float64))
        self.outer = nn.Parameter(torch.randn(2, 3, generator=draw, dtype=torch.float64))

    def represent(self, noisy: Tensor, t: float) -> Tensor:
        means = torch.cat([noisy.mean(dim=(2, 3)), noisy.square().mean(dim=(2, 3))], dim=1)
        return torch.tanh(means @ self.inner.T + self.slope * math.log(t))

    def project(self, noisy: Tensor, t: float) -> Tensor:
        return self.represent(noisy, t) @ self.outer.T


def _represent(net: _TinyEncoder, x: ref.Pixels, t: float) -> list[float]:
    means = [sum(c) / len(c) for c in x] + [sum(v * v for v in c) / len(c) for c in x]
    rows = zip(net.inner.tolist(), net.slope.tolist(), strict=True)
    return [math.tanh(_dot(row, means) + slope * math.log(t)) for row, slope in rows]


def _project(net: _TinyEncoder, x: ref.Pixels, t: float) -> list[float]:
    return [_dot(row, _represent(net, x, t)) for row in net.outer.tolist()]


def _dot(a: list[float], b: list[float]) -> float:
    return sum(p * q for p, q in zip(a, b, strict=True))


def _nce(u: list[list[float]], v: list[list[float]], tau: float) -> float:
    total = 0.0
    for i, mine in enumerate(u):
        cosines = [_dot(mine, other) / math.sqrt(_dot(mine, mine) * _dot(other, other)) / tau for other in v]
        total += math.log(sum(math.exp(c) for c in cosines)) - cosines[i]
    return total / len(u)


def _images(seed: int) -> Tensor:
    return torch.randn(_ROWS, 2, 2, 2, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def _noisy(images: Tensor, noise: Tensor, t: float) -> list[ref.Pixels]:
    return [ref.plus(ref.pixels_of(x), t, ref.pixels_of(z)) for x, z in zip(images, noise, strict=True)]


def _alone(rows: Tensor) -> Tensor:
    return rows


def test_the_contrastive_term_is_its_equation_and_leaves_the_target_alone() -> None:
    network, target = _TinyEncoder(0), _TinyEncoder(1)
    a, b, z, t = _images(2), _images(3), _images(4), 0.5
    loss = contrastive_term(network.project, target.project, (a, b), z, t, _alone, _TAU)
    u = [_project(network, x, t) for x in _noisy(a, z, t)]
    v = [_project(target, x, t) for x in _noisy(b, z, t)]
    assert loss.item() == pytest.approx(_nce(u, v, _TAU), rel=1e-6)
    loss.backward()
    assert ref.reached(network)
    assert ref.untouched(target)


def test_the_consistency_term_is_its_equation_with_one_side_held_fixed() -> None:
    network, x, z, high, low = _TinyEncoder(0), _images(2), _images(3), 2.0, 0.7
    loss = consistency_term(network.represent, x, z, high, low, _alone, _TAU)
    wanted = [_represent(network, image, low) for image in _noisy(x, z, low)]

    def with_fixed_target() -> float:
        return _nce([_represent(network, image, high) for image in _noisy(x, z, high)], wanted, _TAU)

    assert loss.item() == pytest.approx(with_fixed_target(), rel=1e-6)
    loss.backward()
    assert network.outer.grad is None  # c is not projected
    for weight in (network.inner, network.slope):
        assert weight.grad is not None
        for place, slope in enumerate(weight.grad.flatten().tolist()):
            values = []
            for change in (1e-6, -1e-6):
                with torch.no_grad():
                    weight.view(-1)[place] += change
                    values.append(with_fixed_target())
                    weight.view(-1)[place] -= change
            assert slope == pytest.approx((values[0] - values[1]) / 2e-6, rel=1e-5, abs=1e-8)


def test_rows_of_other_processes_are_compared_with_but_are_not_the_right_ones() -> None:
    u, v = _images(0).flatten(1), torch.cat([_images(1), _images(2)]).flatten(1)
    assert nce(u, v, _TAU).item() == pytest.approx(_nce(u.tolist(), v.tolist(), _TAU), rel=1e-6)


def test_half_precision_features_are_compared_in_single() -> None:
    u, v = (_images(seed).flatten(1).bfloat16() for seed in (0, 1))
    with torch.autocast("cpu", torch.bfloat16):
        loss = nce(u, v, _TAU)
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(_nce(u.tolist(), v.tolist(), _TAU), rel=1e-6)
