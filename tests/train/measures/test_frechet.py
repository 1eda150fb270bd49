"""The Frechet distance is its closed forms; features are the input of the last linear layer."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from purecert.engine.errors import InputError
from purecert.train.measures.frechet import frechet_distance, gaussian_distance, logits_and_features

_DRAWS = np.random.default_rng(0)


def _covariance(size: int, rank: int) -> NDArray[np.float64]:
    factor = _DRAWS.standard_normal((size, rank))
    return factor @ factor.T


@pytest.mark.parametrize("rank", [1, 3, 6])
def test_it_is_the_formula_with_the_eigenvalues_of_the_product(rank: int) -> None:
    one, other, shift = _covariance(6, 6), _covariance(6, rank), _DRAWS.standard_normal(6)
    root = np.sqrt(np.linalg.eigvals(one @ other).astype(complex)).sum()
    expected = shift @ shift + np.trace(one + other) - 2 * root.real
    assert gaussian_distance(shift, one, other) == pytest.approx(expected, rel=1e-5)


def test_commuting_covariances_have_a_closed_form() -> None:
    stds, others, shift = np.array([1.0, 0.0, 3.0]), np.array([2.0, 0.5, 3.0]), np.array([0.0, 2.0, -1.0])
    rotation = np.linalg.qr(_DRAWS.standard_normal((3, 3)))[0]
    one, other = (rotation @ np.diag(each**2) @ rotation.T for each in (stds, others))
    assert gaussian_distance(shift, one, other) == pytest.approx(5 + np.square(stds - others).sum())


def test_sets_of_one_feature_differ_by_mean_and_standard_deviation() -> None:
    one, other = np.array([[0.0], [2.0], [4.0]]), np.array([[5.0], [6.0], [7.0]])  # means 2 and 6, stds 2 and 1
    assert frechet_distance(one, other) == pytest.approx(4**2 + 1**2)
    assert frechet_distance(one, one) == pytest.approx(0, abs=1e-12)


def test_what_has_no_covariance_is_refused() -> None:
    with pytest.raises(InputError, match="at least 2 rows"):
        frechet_distance(np.zeros((1, 3)), np.zeros((5, 3)))
    with pytest.raises(InputError, match="finite features"):
        frechet_distance(np.full((5, 3), np.nan), np.zeros((5, 3)))


class _Pixelwise(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(3, 2)

    def forward(self, x: Tensor) -> Tensor:
        mean: Tensor = self.head(x).mean(dim=1)
        return mean


def test_features_are_what_the_last_linear_layer_gets() -> None:
    body, head = nn.Sequential(nn.Flatten(), nn.Linear(4, 3), nn.ReLU()), nn.Linear(3, 2)
    images = torch.randn(5, 1, 2, 2)
    logits, features = logits_and_features(nn.Sequential(body, head), images)
    assert torch.equal(features, body(images))
    assert torch.equal(logits, head(features))
    assert not head._forward_pre_hooks
    with pytest.raises(InputError, match="ends in a linear layer"):
        logits_and_features(body[:1], images)
    with pytest.raises(InputError, match="one row an image"):
        logits_and_features(_Pixelwise(), torch.zeros(5, 4, 3))
