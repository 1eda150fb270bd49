"""FFDNet and DnCNN are their papers' chains of convolutions."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from purecert.train.networks.plain_denoisers import Dncnn, Ffdnet, PlainDenoiserConfig
from support.golden import shared

_SMALL = PlainDenoiserConfig(channels=2, width=6, depth=4)


def _random(kind: type[Ffdnet] | type[Dncnn], config: PlainDenoiserConfig = _SMALL) -> nn.Module:
    torch.manual_seed(0)
    return kind(config).eval().requires_grad_(False)


def _chain(state: dict[str, Tensor], x: Tensor) -> Tensor:
    """Return the convolutions one after the other, ReLU between them; their keys count the ReLUs too."""
    places = sorted({int(key.split(".")[1]) for key in state})
    assert places == list(range(0, 2 * len(places), 2))
    for place in places:
        x = functional.relu(x) if place else x
        x = functional.conv2d(x, state[f"model.{place}.weight"], state[f"model.{place}.bias"], padding=1)
    return x


@pytest.mark.parametrize("size", [(8, 8), (2, 2), (6, 10)])
def test_ffdnet_is_a_chain_at_half_size_that_sees_the_level(size: tuple[int, int]) -> None:
    network, x, levels = _random(Ffdnet), torch.randn(3, 2, *size), torch.tensor([0.0, 0.1, 0.7])
    squares = [x[:, c, dy::2, dx::2] for c in range(2) for dy in range(2) for dx in range(2)]
    plane = levels[:, None, None].expand_as(squares[0])
    answer = _chain(network.state_dict(), torch.stack([*squares, plane], dim=1))
    expected = torch.empty_like(x)
    for index in range(8):
        expected[:, index // 4, index // 2 % 2 :: 2, index % 2 :: 2] = answer[:, index]
    torch.testing.assert_close(network(x, levels), expected)


def test_the_plane_is_the_level_itself() -> None:
    network = _random(Ffdnet, PlainDenoiserConfig(channels=3, width=1, depth=2))
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
        state = network.state_dict()
        state["model.0.weight"][:, -1, 1, 1] = 1  # keep the plane alone,
        state["model.2.weight"][:, 0, 1, 1] = torch.arange(1.0, 13)  # and give it to each pixel of a square
    found = network(torch.randn(2, 3, 4, 4), torch.tensor([0.25]))
    # Channel c, row dy and column dx of a square are the folded channel 4 c + 2 dy + dx.
    square = torch.arange(1.0, 13).reshape(1, 3, 2, 2).repeat(2, 1, 2, 2)
    torch.testing.assert_close(found, 0.25 * square, rtol=0, atol=0)


@pytest.mark.parametrize("kind", [Ffdnet, Dncnn])
def test_one_level_serves_the_whole_batch(kind: type[Ffdnet] | type[Dncnn]) -> None:
    network, x = _random(kind), torch.randn(3, 2, 8, 8)
    torch.testing.assert_close(network(x, torch.tensor([0.3])), network(x, torch.full((3,), 0.3)))


@pytest.mark.parametrize(("size", "words"), [((7, 8), "height to be divisible"), ((8, 7), "width to be divisible")])
def test_ffdnet_refuses_odd_sizes(size: tuple[int, int], words: str) -> None:
    with pytest.raises(RuntimeError, match=words):
        _random(Ffdnet)(torch.zeros(1, 2, *size), torch.tensor([0.1]))


def test_ffdnet_asks_for_its_level() -> None:
    with pytest.raises(RuntimeError, match="to have 9 channels, but got 8"):
        _random(Ffdnet)(torch.zeros(1, 2, 8, 8))


@pytest.mark.parametrize("size", [(8, 8), (1, 1), (5, 7)])
def test_dncnn_is_a_chain_that_sees_no_level(size: tuple[int, int]) -> None:
    network, x = _random(Dncnn), torch.randn(3, 2, *size)
    expected = _chain(network.state_dict(), x)
    for level in (None, torch.tensor([0.1]), torch.tensor([70.0])):
        torch.testing.assert_close(network(x, level), expected)


@pytest.mark.shared
@pytest.mark.parametrize(
    ("kind", "config", "file"),
    [
        (Ffdnet, PlainDenoiserConfig(width=96, depth=12), "ffdnet_color"),
        (Dncnn, PlainDenoiserConfig(width=64, depth=20), "dncnn_color_blind"),
    ],
)
def test_the_published_weights_fit(kind: type[Ffdnet] | type[Dncnn], config: PlainDenoiserConfig, file: str) -> None:
    state = torch.load(shared(f"data/weights/color_kair/{file}.pth"), weights_only=True)
    found = kind(config).load_state_dict(state, strict=True)
    assert not found.missing_keys
    assert not found.unexpected_keys


@pytest.mark.parametrize("change", [{"channels": 0}, {"width": 0}, {"depth": 1}])
def test_impossible_shapes_are_refused(change: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="positive channels and width and at least 2 convolutions"):
        PlainDenoiserConfig(**change)
