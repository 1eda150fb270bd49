"""One network call as D(x) = skip x + out F(inp x + inp_shift, label) + shift, at one time for the whole batch."""

import pytest
import torch
from torch import Tensor, nn

from purecert.train.purifiers.base import FixedTimes, Step, apply_step, call_at
from support.denoisers import FAMILIES, AtLabel, Recorder, random_network, rounded


class _Channels(nn.Module):
    """Answers with as many channels as told, the first of them the input's own."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels

    def forward(self, x: Tensor, label: Tensor) -> Tensor:
        return torch.cat([x, torch.full_like(x, 1e9)], dim=1)[:, : self.channels]


def test_every_constant_is_in_its_place() -> None:
    x = torch.randn(3, 2, 4, 4)
    network = Recorder(lambda y, label: y**2 * label)
    step = Step(skip=0.3, out=-1.7, inp=0.6, label=2.5, inp_shift=0.2, shift=-0.9)
    torch.testing.assert_close(apply_step(network, step, x), 0.3 * x - 1.7 * (0.6 * x + 0.2) ** 2 * 2.5 - 0.9)


@pytest.mark.parametrize("family", FAMILIES)
def test_one_label_serves_the_whole_batch(family: str) -> None:
    network, x = random_network(family), torch.randn(3, 2, 8, 8)
    torch.testing.assert_close(call_at(network, x, 0.3), network(x, torch.full((3,), 0.3)))


def test_a_label_reaches_the_network_in_full_precision_also_from_half_images() -> None:
    network = Recorder(lambda y, label: y if (label.shape, label.dtype) == ((1,), torch.float32) else y.new_empty(0))
    x = torch.zeros(2, 1, 4, 4, dtype=torch.float16)
    assert call_at(network, x, 2809.25) is x
    assert network.labels == [2809.25]  # half precision would have made it 2810


def test_the_learned_variance_is_left_out() -> None:
    x = torch.randn(2, 3, 4, 4)
    step = Step(0.5, 2.0, 1.0, 0.0, has_variance=True)
    torch.testing.assert_close(apply_step(_Channels(6), step, x), 2.5 * x)


@pytest.mark.parametrize(("channels", "has_variance"), [(6, False), (1, False), (1, True), (3, True), (4, True)])
def test_a_network_that_changes_the_images_shape_is_refused(channels: int, has_variance: bool) -> None:
    step = Step(0.5, 2.0, 1.0, 0.0, has_variance=has_variance)
    with pytest.raises(ValueError, match=rf"image's .* \[3, 4, 4\].*, gave \[{channels}, 4, 4\]"):
        apply_step(_Channels(channels), step, torch.randn(2, 3, 4, 4))


def test_a_network_of_fixed_times_answers_at_each_with_its_own() -> None:
    labels = (0.1, -1 / 3, 250.0)
    assert rounded(0.1) != 0.1  # they are told apart before they are rounded
    scaled = Recorder(lambda x, label: label * x)
    network = FixedTimes({label: AtLabel(scaled, label) for label in labels})
    x = torch.randn(2, 1, 4, 4)
    for label in labels:
        torch.testing.assert_close(call_at(network, x, label), torch.tensor(label) * x, rtol=0, atol=0)
    assert network.labels == labels
