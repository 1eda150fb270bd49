"""FilmUNet is the small published U-Net whose time and class modulate its channels."""

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from purecert.train.networks.class_token import replace_classes_by_token
from purecert.train.networks.film_unet import Film, FilmUNet, FilmUNetConfig, FixedFilm
from support.golden import randomise

_SMALL = FilmUNetConfig(channels=2, widths=(4, 6, 8), last_width=3, embedding=8, classes=5)


def _random(config: FilmUNetConfig = _SMALL) -> FilmUNet:
    torch.manual_seed(0)
    network = FilmUNet(config).eval().requires_grad_(False)
    randomise(network)
    for name, value in network.state_dict().items():
        if name.endswith(("running_var", ".1.weight")):  # a norm's, as after training: neither ones nor zeros
            nn.init.uniform_(value, 0.5, 2)
        elif name.endswith(("running_mean", "bias", "class_token")):
            nn.init.uniform_(value, -0.5, 0.5)
    return network


def _sinusoid(time: float, width: int) -> list[float]:
    """Return sine and cosine of the time at the frequencies exp(-ln(1000) i / half)."""
    angles = [time * math.exp(-math.log(1000) * i / (width // 2)) for i in range(width // 2)]
    return [math.sin(angle) for angle in angles] + [math.cos(angle) for angle in angles]


class _Reference:
    """The published description, line by line, from weights under the published keys."""

    def __init__(self, state: dict[str, Tensor], width: int) -> None:
        self.state, self.width = state, width

    def embedding(self, times: list[float], condition: Tensor | float) -> Tensor:
        x = torch.tensor([_sinusoid(time, self.width) for time in times])
        x = functional.silu(self._linear("time_emb.0", x))
        return self._linear("time_emb.2", x) + condition

    def __call__(self, x: Tensor, times: list[float], condition: Tensor | float) -> Tensor:
        embedding = self.embedding(times, condition)
        down0 = self._film(0, self._layer("down_layers.0", x), embedding)
        down1 = self._film(1, self._layer("down_layers.1", functional.max_pool2d(down0, 2)), embedding)
        x = self._film(2, self._layer("down_layers.2", functional.max_pool2d(down1, 2)), embedding)
        x = self._film(3, self._layer("up_layers.0", x), embedding)
        x = torch.cat([_doubled(x), down1], dim=1)
        x = self._film(4, self._layer("up_layers.1", x), embedding)
        x = self._layer("up_layers.2", torch.cat([_doubled(x), down0], dim=1))
        return self._convolution("finalLayer", x)

    def _linear(self, key: str, x: Tensor) -> Tensor:
        return x @ self.state[f"{key}.weight"].T + self.state[f"{key}.bias"]

    def _convolution(self, key: str, x: Tensor) -> Tensor:
        return functional.conv2d(x, self.state[f"{key}.weight"], self.state[f"{key}.bias"], padding=2)

    def _layer(self, key: str, x: Tensor) -> Tensor:
        x = self._convolution(f"{key}.0", x)
        mean, variance, weight, bias = (
            self.state[f"{key}.1.{name}"][:, None, None] for name in ("running_mean", "running_var", "weight", "bias")
        )
        x = (x - mean) / torch.sqrt(variance + 1e-5) * weight + bias
        return x * torch.sigmoid(x)

    def _film(self, index: int, x: Tensor, embedding: Tensor) -> Tensor:
        rows = self._linear(f"time_filmUp.{index}.linear", embedding)
        gamma, beta = rows[:, : x.shape[1]], rows[:, x.shape[1] :]
        return gamma[:, :, None, None] * x + beta[:, :, None, None]


def _doubled(x: Tensor) -> Tensor:
    return x.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)


def test_the_network_is_the_published_description() -> None:
    network, x, times = _random(), torch.randn(3, 2, 8, 12), [0.0, 145.0, 999.0]
    classes = torch.tensor([4, 0, 2])
    assert network.prompt_emb is not None
    expected = _Reference(network.state_dict(), 8)(x, times, network.prompt_emb.weight[classes])
    torch.testing.assert_close(network(x, torch.tensor(times), classes), expected, atol=1e-5, rtol=1e-4)


def test_without_classes_the_time_alone_conditions_the_network() -> None:
    network, x = _random(replace(_SMALL, classes=0)), torch.randn(3, 2, 8, 8)
    expected = _Reference(network.state_dict(), 8)(x, [259.0] * 3, 0.0)
    torch.testing.assert_close(network(x, torch.tensor([259.0])), expected, atol=1e-5, rtol=1e-4)


def test_the_token_is_the_mean_of_the_classes() -> None:
    network, x = _random(), torch.randn(3, 2, 8, 8)
    assert network.prompt_emb is not None
    mean = sum(network.prompt_emb.weight[i] for i in range(5)) / 5
    expected = _Reference(network.state_dict(), 8)(x, [396.0] * 3, mean)
    unconditional = replace_classes_by_token(network)
    torch.testing.assert_close(unconditional(x, torch.tensor([396.0])), expected, atol=1e-5, rtol=1e-4)
    assert (unconditional.config.classes, unconditional.config.class_token) == (0, True)
    rebuilt = FilmUNet(unconditional.config).eval()
    rebuilt.load_state_dict(unconditional.state_dict(), strict=True)
    assert torch.equal(rebuilt(x, torch.tensor([396.0])), unconditional(x, torch.tensor([396.0])))


def test_the_token_leaves_the_conditional_network_alone() -> None:
    network = _random()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    for value in replace_classes_by_token(network).state_dict().values():
        value.add_(1)
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())


@pytest.mark.parametrize("embedding", [2, 8, 48])
def test_the_embedding_has_the_published_frequencies(embedding: int) -> None:
    network = _random(replace(_SMALL, classes=0, embedding=embedding))
    network.time_emb = nn.Sequential()  # what it would get
    times = [0.0, 1.0, 27.5, 999.0]
    expected = torch.tensor([_sinusoid(time, embedding) for time in times])
    # An angle of 999 in FP32 is exact to 6e-5.
    torch.testing.assert_close(network.embed(torch.tensor(times), None), expected, atol=1e-4, rtol=0)


def test_film_scales_then_shifts() -> None:
    film = Film(3, 2)
    with torch.no_grad():
        film.linear.weight.zero_()
        film.linear.bias.copy_(torch.tensor([2.0, 3.0, 10.0, 20.0]))  # gamma of both channels, then beta
    x = torch.randn(2, 2, 4, 4)
    expected = torch.stack([2 * x[:, 0] + 10, 3 * x[:, 1] + 20], dim=1)
    torch.testing.assert_close(film(x, torch.randn(1, 3)), expected)
    fixed = FixedFilm(torch.tensor([2.0, 3.0])[:, None, None], torch.tensor([10.0, 20.0])[:, None, None])
    torch.testing.assert_close(fixed(x, None), expected)


@pytest.mark.parametrize("depth", [1, 2, 4])
def test_networks_of_any_depth_keep_the_image_size(depth: int) -> None:
    network = _random(replace(_SMALL, widths=(4, 6, 8, 10)[:depth], classes=0))
    x = torch.randn(2, 2, 16, 8)
    assert network(x, torch.tensor([5.0])).shape == x.shape


def test_classes_are_asked_for_where_the_network_has_any() -> None:
    x, times = torch.zeros(2, 2, 8, 8), torch.tensor([5.0])
    with pytest.raises(ValueError, match="expected classes exactly where the network has any, it has 5"):
        _random()(x, times)
    with pytest.raises(ValueError, match="expected classes exactly where the network has any, it has 0"):
        _random(replace(_SMALL, classes=0))(x, times, torch.tensor([0, 1]))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"channels": 0}, "positive widths"),
        ({"widths": ()}, "positive widths"),
        ({"widths": (4, 0)}, "positive widths"),
        ({"last_width": 0}, "positive widths"),
        ({"classes": -1}, "no negative number of classes"),
        ({"embedding": 7}, "embedding must be even"),
        ({"embedding": 0}, "embedding must be even"),
        ({"class_token": True}, "not both"),
    ],
)
def test_impossible_shapes_are_refused(change: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        replace(_SMALL, **change)
