"""Preprocessing is (y - mean) / std of y = (x + 1) / 2, resized."""

import pytest
import torch
from torch.nn import functional

from purecert.train.preprocessing import Preprocessing, PreprocessingConfig

_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def _normalised(x: torch.Tensor) -> torch.Tensor:
    mean, std = (torch.tensor(values)[:, None, None] for values in (_MEAN, _STD))
    return ((x + 1) / 2 - mean) / std


def test_the_range_and_normalisation_are_exact_outside_0_to_1_too() -> None:
    x = 3 * torch.randn(2, 3, 8, 8)
    torch.testing.assert_close(Preprocessing(PreprocessingConfig(mean=_MEAN, std=_STD))(x), _normalised(x))


@pytest.mark.parametrize("antialias", [False, True])
@pytest.mark.parametrize(("mode", "size"), [("bilinear", 4), ("bicubic", 24)])
def test_resizing_before_or_after_normalising_is_the_same(mode: str, size: int, antialias: bool) -> None:
    x = torch.randn(2, 3, 8, 8)
    config = PreprocessingConfig(
        mean=_MEAN,
        std=_STD,
        size=size,
        interpolation=mode,  # type: ignore[arg-type]
        antialias=antialias,
    )
    resized = functional.interpolate(x, (size, size), mode=mode, align_corners=False, antialias=antialias)
    torch.testing.assert_close(Preprocessing(config)(x), _normalised(resized), atol=1e-4, rtol=1e-4)


def test_it_has_no_state_of_its_own() -> None:
    assert not Preprocessing(PreprocessingConfig(mean=_MEAN, std=_STD)).state_dict()


@pytest.mark.parametrize(
    ("mean", "std", "size", "words"),
    [
        ((0.5,), (0.5, 0.5), None, "one value per channel"),
        ((), (), None, "one value per channel"),
        ((0.5,), (0.0,), None, "std > 0"),
        ((float("nan"),), (1.0,), None, "finite"),
        ((0.5,), (0.5,), 0, "size"),
    ],
)
def test_an_impossible_preprocessing_is_refused(
    mean: tuple[float, ...], std: tuple[float, ...], size: int | None, words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        PreprocessingConfig(mean=mean, std=std, size=size)
