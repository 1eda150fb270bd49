"""rRCM's transformer: the last block for the class token alone, its cost, its choices."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from purecert.train.networks.rrcm.classifier import RrcmClassifier, RrcmClassifierConfig
from purecert.train.networks.rrcm.presets import RRCM_CIFAR10_B
from purecert.train.networks.rrcm.vit import RrcmVit, RrcmVitConfig
from purecert.train.strict.state import build_empty
from support.golden import randomise

_SMALL = RrcmVitConfig(image_size=8, width=16, depth=2, heads=2, projection_hidden=12, projection_width=6)


def _small() -> RrcmVit:
    torch.manual_seed(0)
    network = RrcmVit(_SMALL)
    randomise(network)
    return network


def _all_tokens(network: RrcmVit, x: Tensor, times: Tensor) -> Tensor:
    """Return the class token after the whole of every block."""
    tokens = network.embed(x, times)
    for block in network.blocks:
        tokens = block(tokens)
    return tokens[:, 0]


def test_the_last_block_for_the_class_token_alone_gives_what_the_whole_block_does() -> None:
    network, x = _small().double(), torch.randn(3, 3, 8, 8, dtype=torch.float64)
    times = torch.tensor([-40.0])
    torch.testing.assert_close(network.encode(x, times), _all_tokens(network, x, times), rtol=1e-12, atol=1e-12)


def test_it_costs_what_the_paper_s_network_costs_and_less_where_the_last_block_is_cut() -> None:
    network = build_empty(lambda: RrcmVit(RRCM_CIFAR10_B), "published")
    x, times = torch.zeros(1, 3, 32, 32, device="meta"), torch.zeros(1, device="meta")
    costs = []
    for compute in (lambda: _all_tokens(network, x, times), lambda: network.encode(x, times)):
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            compute()
        costs.append(counter.get_total_flops() / 1e9)
    assert costs[0] == pytest.approx(11.4, rel=0.01)
    assert costs[1] <= 10.7


def test_every_weight_and_every_token_matters() -> None:
    network, x = _small(), torch.randn(3, 3, 8, 8)
    network.project(x, 0.5).square().sum().backward()
    assert all(p.grad is not None and bool(p.grad.any()) for p in network.parameters())
    assert network.pos_embed.grad is not None
    assert bool(network.pos_embed.grad.abs().sum(dim=2).all())


def test_a_new_classifier_answers_alike_and_its_time_is_that_of_the_noise() -> None:
    classifier = RrcmClassifier(RrcmClassifierConfig(network=_SMALL, classes=3))
    assert float(classifier.linear_head.weight.detach().abs().max()) < 2e-4
    assert not bool(classifier.linear_head.bias.any())
    assert classifier.timestep(0.0) == 0.002  # images without noise: the lowest level
    nn.init.normal_(classifier.linear_head.weight)
    x = torch.randn(2, 3, 8, 8)
    assert not torch.allclose(classifier(x, 0.25), classifier(x, 0.5))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"patch_size": 3}, "tile"),
        ({"heads": 3}, "divide"),
        ({"width": 15, "heads": 5}, "divide"),
        ({"depth": 0}, "positive"),
        ({"depth": 100_000}, "at most"),
        ({"sigma_data": float("nan")}, "sigma_data"),
    ],
)
def test_an_impossible_shape_is_refused(change: dict[str, int], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        replace(_SMALL, **change)  # type: ignore[arg-type]


@pytest.mark.parametrize("change", [{"classes": 1}, {"grid_points": 1}])
def test_an_impossible_classifier_is_refused(change: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="at least 2 classes and grid points"):
        RrcmClassifierConfig(network=_SMALL, **{"classes": 3, **change})
