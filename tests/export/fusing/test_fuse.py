"""The fused graph's two ends: integers in, labels out."""

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor, nn

from purecert.engine.errors import InputError
from purecert.export.fusing.fuse import FusedModel, fuse, graph_inputs
from purecert.train.models.checkpoints import Model, demo_model_path, load_model
from purecert.train.purifiers.base import Purifier
from purecert.train.purifiers.identity import IdentityConfig, IdentityPurifier


class Pixels(nn.Module):
    """A classifier whose logits are its pixels."""

    def forward(self, x: Tensor, *noises: Tensor) -> Tensor:
        return torch.cat([x.flatten(1), *(noise.flatten(1) for noise in noises)], dim=1)


class Fading(Purifier):
    """Multiplies by sigma and adds its first extra noise; wants ``k`` images of it, 1 more above sigma 1."""

    time_rule = "none"

    def timestep(self, sigma: float) -> float:
        return sigma

    def noise_inputs(self, sigma: float) -> tuple[int, ...]:
        return (3,) if sigma < 1 else (4,)

    def forward(self, noisy: Tensor, sigma: float, noises: Sequence[Tensor] = ()) -> Tensor:
        return noisy * sigma + noises[0].mean(dim=1)


def _model(purifier: Purifier) -> Model:
    return Model(purifier=purifier, classifier=Pixels(), preprocessing=nn.Identity(), input_shape=(1, 1, 2), classes=2)


def test_pixels_reach_the_network_on_the_scale_from_minus_one_to_one() -> None:
    levels = torch.arange(-2048.0, 2048.0)
    logits = FusedModel(Pixels())(levels[:, None])[1]
    assert torch.allclose(logits[:, 0].double(), levels.double() / 127.5 - 1, atol=1e-6, rtol=1e-6)


def test_extra_noise_is_a_256th_of_its_integers() -> None:
    logits = FusedModel(Pixels())(torch.zeros(1, 1), torch.tensor([[-2048.0, 1.0, 255.0]]))[1]
    assert logits[0, 1:].tolist() == [-8.0, 1 / 256, 255 / 256]


def test_ties_go_to_the_lowest_class() -> None:
    rows = torch.tensor([[3.0, 3, 3], [0, 5, 5], [5, 0, 5], [0, 0, 1]])
    assert FusedModel(Pixels())(rows)[0].tolist() == [0, 1, 0, 2]


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_row_with_a_logit_that_is_not_finite_is_invalid_and_its_neighbours_are_not(bad: float, place: int) -> None:
    rows = torch.tensor([[1.0, 2, 3], [1, 2, 3], [3, 2, 1]])
    rows[1, place] = bad
    label, _ = FusedModel(Pixels())(rows)
    assert label.tolist() == [2, -1, 0]
    assert label.dtype == torch.int32


def test_a_model_is_purified_at_its_sigma_with_its_noise_before_it_is_classified() -> None:
    fused = fuse(_model(Fading()), 0.5)
    pixels = torch.tensor([[[[255.0, 0.0]]]])
    noise = torch.full((1, 3, 1, 1, 2), 256.0)
    assert fused(pixels, noise)[1].tolist() == [[1.5, 0.5]]


def test_it_can_be_differentiated_by_its_pixels() -> None:
    """What an attack needs: a plan has no gradients, the module that it was exported from has."""
    fused, pixels = fuse(load_model(demo_model_path()), 0.5), torch.full((1, 1, 8, 8), 100.0, requires_grad=True)
    fused(pixels)[1][0, 3].backward()
    assert pixels.grad is not None
    step = 1e-2 * pixels.grad / pixels.grad.norm()
    with torch.no_grad():
        rise = fused(pixels + 50 * step)[1][0, 3] - fused(pixels - 50 * step)[1][0, 3]
    assert float(rise) == pytest.approx(float(pixels.grad.norm()), rel=0.05)  # a step of one grey level in all


def test_inputs_follow_the_image_and_the_purifier() -> None:
    pixels, noise = graph_inputs(_model(Fading()), [0.25, 0.5], "fp16")
    assert (pixels.name, pixels.shape, pixels.dtype) == ("pixels", (1, 1, 2), "float16")
    assert (noise.name, noise.shape, noise.dtype) == ("noise_1", (3, 1, 1, 2), "float16")
    (alone,) = graph_inputs(_model(IdentityPurifier(IdentityConfig())), [0.25], "fp32")
    assert (alone.shape, alone.dtype) == ((1, 1, 2), "float32")


def test_extra_noise_that_changes_with_sigma_needs_a_plan_per_sigma() -> None:
    with pytest.raises(InputError, match=r"same extra noise at every sigma.*one plan per sigma"):
        graph_inputs(_model(Fading()), [0.5, 1.5], "fp32")
