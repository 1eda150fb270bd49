"""Distances between features agree with their equations, and change nothing in the network that sees."""

import math

import pytest
import torch
from torch import Tensor, nn

from purecert.train.distances.features import FeatureDistance, unit_length
from purecert.train.distances.lpips import lpips_distance
from purecert.train.networks.resnet import ResNet, ResNetConfig

_LAYERS = ["layer1", "layer2"]


def _written_out(a: Tensor, b: Tensor, weights: list[float]) -> float:
    """Return the weighted distance of one layer of one pair, [C, H, W] each, in float64 loops."""
    p, q = a.double().flatten(1).tolist(), b.double().flatten(1).tolist()
    places, total = len(p[0]), 0.0
    for place in range(places):
        u, v = [channel[place] for channel in p], [channel[place] for channel in q]
        long_u, long_v = (math.sqrt(sum(x * x for x in side)) + 1e-10 for side in (u, v))
        total += sum(w * (x / long_u - y / long_v) ** 2 for w, x, y in zip(weights, u, v, strict=True))
    return total / places


def _random(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(sum(shape)))


def test_the_learned_distance_is_its_equation() -> None:
    a, b = [_random(2, 3, 4, 4), _random(2, 5, 2, 3)], [_random(2, 3, 4, 4) * 2 + 1, _random(2, 5, 2, 3) - 1]
    heads = [_random(3).abs(), _random(5).abs()]
    wanted = [
        sum(_written_out(p[row], q[row], w.tolist()) for p, q, w in zip(a, b, heads, strict=True)) for row in range(2)
    ]
    assert lpips_distance(a, b, heads).tolist() == pytest.approx(wanted, rel=1e-6)


def test_a_place_without_features_has_a_gradient() -> None:
    x = torch.zeros(1, 3, 2, 2, requires_grad=True)
    unit_length(x).sum().backward()
    assert x.grad is not None
    assert bool(torch.isfinite(x.grad).all())


@pytest.fixture
def judge() -> ResNet:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        shape = ResNetConfig(classes=3, in_channels=1, blocks=(1, 1), widths=(4, 8))
        return ResNet(shape).double().eval().requires_grad_(False)


def test_a_classifiers_features_are_compared_layer_by_layer(judge: ResNet) -> None:
    a, b = _random(2, 1, 8, 8).requires_grad_(), _random(2, 1, 8, 8) + 0.5
    before = {name: value.clone() for name, value in judge.state_dict().items()}
    found = FeatureDistance(judge, nn.Identity(), _LAYERS)(a, b)
    layers: list[list[Tensor]] = []
    for x in (a.detach(), b):
        first = judge.get_submodule("layer1")(judge.bn1(judge.conv1(x)).relu())
        layers.append([first, judge.get_submodule("layer2")(first)])
    wanted = [
        sum(_written_out(p[row], q[row], [1.0] * p.shape[1]) for p, q in zip(*layers, strict=True)) for row in (0, 1)
    ]
    assert found.tolist() == pytest.approx(wanted, rel=1e-6)
    found.sum().backward()
    assert a.grad is not None
    assert bool(a.grad.any())
    assert all(p.grad is None for p in judge.parameters())
    assert all(torch.equal(value, before[name]) for name, value in judge.state_dict().items())


def test_a_judge_that_could_change_is_refused(judge: ResNet) -> None:
    with pytest.raises(ValueError, match="the classifier must be frozen"):
        FeatureDistance(judge.train(), nn.Identity(), _LAYERS)


@pytest.mark.parametrize("layers", [[], ["layer1", "layer9"]])
def test_a_layer_that_is_not_there_is_refused(judge: ResNet, layers: list[str]) -> None:
    with pytest.raises(ValueError, match=r"layers: expected names of the classifier's modules \(.*layer2"):
        FeatureDistance(judge, nn.Identity(), layers)
