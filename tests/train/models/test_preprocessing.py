"""Preprocessing is (y - mean) / std of y = (x + 1) / 2, resized; kind ``exact`` of whole grey levels."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from purecert.export.fusing.fuse import FusedModel
from purecert.export.fusing.precision import to_half
from purecert.train.models.preprocessing import ExactPreprocessing, Preprocessing, PreprocessingConfig

_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_KINDS = [Preprocessing, ExactPreprocessing]

Matrix = NDArray[np.float64]  # one axis of a resize: outputs x inputs


def _normalised(x: Tensor) -> Tensor:
    mean, std = (torch.tensor(values)[:, None, None] for values in (_MEAN, _STD))
    return ((x + 1) / 2 - mean) / std


def _bilinear(inputs: int, outputs: int) -> Matrix:
    """Return the mix of the two nearest pixel centres, without antialiasing; beyond the border, the border's."""
    weights = np.zeros((outputs, inputs))
    for i in range(outputs):
        centre = max((i + 0.5) * inputs / outputs - 0.5, 0)
        left = min(int(centre), inputs - 1)
        weights[i, left] += 1 - (centre - left)
        weights[i, min(left + 1, inputs - 1)] += centre - left
    return weights


def _cubic(distance: float) -> float:
    """Return Keys's cubic with a = -1/2."""
    d = abs(distance)
    if d < 1:
        return 1.5 * d**3 - 2.5 * d**2 + 1
    return -0.5 * (d**3 - 5 * d**2 + 8 * d - 4) if d < 2 else 0.0


def _antialiased_bicubic(inputs: int, outputs: int) -> Matrix:
    """Return the cubic around each output's centre, as wide as the outputs lie apart, never narrower than its 4 pixels.

    So does Pillow; weights beyond the border are left out and the rest add up to 1.
    """
    scale = inputs / outputs
    width = max(scale, 1)
    weights = np.array([[_cubic((j + 0.5 - (i + 0.5) * scale) / width) for j in range(inputs)] for i in range(outputs)])
    return weights / weights.sum(axis=1, keepdims=True)


def _resized(x: NDArray[np.float64], axis: Matrix) -> NDArray[np.float64]:
    return np.asarray(np.einsum("ih,bchw,jw->bcij", axis, x, axis))


def _prepared(y: NDArray[np.float64]) -> Tensor:
    """Return (y - mean) / std of images on the [0, 1] scale."""
    return torch.from_numpy((y - np.array(_MEAN)[:, None, None]) / np.array(_STD)[:, None, None]).float()


def _images(size: int) -> tuple[Tensor, NDArray[np.float64]]:
    """Return [-1, 1] images and their grey levels towards zero, below 0 and above 255 too."""
    random = np.random.default_rng(0)
    whole, rest = random.integers(-300, 600, (2, 3, size, size)), random.uniform(0.1, 0.9, (2, 3, size, size))
    x = torch.from_numpy((whole + rest) / 127.5 - 1).float()
    return x, np.where(whole < 0, whole + 1, whole).astype(np.float64)


@pytest.mark.parametrize("size", [32, 20])
def test_the_exact_kind_is_truncation_then_bilinear_then_normalisation(size: int) -> None:
    x, levels = _images(size)
    assert levels.min() < -200
    assert levels.max() > 500
    config = PreprocessingConfig(mean=_MEAN, std=_STD, size=224)
    expected = _prepared(_resized(levels, _bilinear(size, 224)) / 255)
    torch.testing.assert_close(ExactPreprocessing(config)(x), expected, atol=1e-4, rtol=1e-5)


def test_the_exact_kind_without_a_resize_is_truncation_then_normalisation() -> None:
    x, levels = _images(8)
    found = ExactPreprocessing(PreprocessingConfig(mean=_MEAN, std=_STD))(x)
    torch.testing.assert_close(found, _prepared(levels / 255), atol=1e-5, rtol=1e-5)


def test_truncation_goes_towards_zero_on_both_sides() -> None:
    levels = torch.tensor([-2.7, -1.2, -0.9, 0.4, 0.9, 254.6, 255.9, 300.5])
    config = PreprocessingConfig(mean=(0.0,), std=(1.0,))
    found = ExactPreprocessing(config)((levels / 127.5 - 1).reshape(1, 1, 1, 8)).flatten() * 255
    torch.testing.assert_close(found, torch.tensor([-2.0, -1, 0, 0, 0, 254, 255, 300]), atol=1e-3, rtol=0)


@pytest.mark.parametrize("inputs", [8, 32, 50])
def test_bilinear_is_without_corners_and_antialiasing(inputs: int) -> None:
    x = torch.randn(2, 3, inputs, inputs)
    config = PreprocessingConfig(mean=_MEAN, std=_STD, size=37)
    expected = _prepared((_resized(x.double().numpy(), _bilinear(inputs, 37)) + 1) / 2)
    torch.testing.assert_close(Preprocessing(config)(x), expected, atol=1e-4, rtol=1e-5)


@pytest.mark.parametrize(("inputs", "outputs"), [(32, 224), (64, 224), (9, 10), (50, 21), (64, 16)])
def test_antialiased_bicubic_is_pillows(inputs: int, outputs: int) -> None:
    x = 2 * torch.rand(2, 3, inputs, inputs) - 1
    config = PreprocessingConfig(mean=_MEAN, std=_STD, size=outputs, interpolation="bicubic", antialias=True)
    expected = _prepared((_resized(x.double().numpy(), _antialiased_bicubic(inputs, outputs)) + 1) / 2)
    torch.testing.assert_close(Preprocessing(config)(x), expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize(("inputs", "outputs"), [(32, 48), (50, 21)])
def test_the_reference_is_pillows(inputs: int, outputs: int) -> None:
    image = pytest.importorskip("PIL.Image", reason="pillow is not installed")
    pixels = np.random.default_rng(0).uniform(0, 255, (inputs, inputs)).astype(np.float32)
    found = np.asarray(image.fromarray(pixels).resize((outputs, outputs), image.Resampling.BICUBIC))
    axis = _antialiased_bicubic(inputs, outputs)
    np.testing.assert_allclose(found, axis @ pixels @ axis.T, rtol=0, atol=2e-4)


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


@pytest.mark.parametrize("kind", _KINDS)
def test_a_half_network_prepares_pixels_in_full_precision(kind: type[Preprocessing] | type[ExactPreprocessing]) -> None:
    full = kind(PreprocessingConfig(mean=_MEAN, std=_STD, size=24, interpolation="bicubic", antialias=True))
    half, islands = to_half(FusedModel(nn.Sequential(full, nn.Flatten())).eval())
    x = (1.5 * torch.randn(4, 3, 8, 8)).half()
    prepared = half.get_submodule("network.0")(x)
    assert prepared.dtype == torch.float16
    assert torch.equal(prepared, full(x.float()).half())  # rounded once, at the end
    assert "grey levels" in islands["network.0"]


@pytest.mark.parametrize("kind", _KINDS)
def test_it_has_no_state_of_its_own(kind: type[Preprocessing] | type[ExactPreprocessing]) -> None:
    assert not kind(PreprocessingConfig(mean=_MEAN, std=_STD)).state_dict()


@pytest.mark.parametrize(
    ("mean", "std", "size", "words"),
    [
        ((0.5,), (0.5, 0.5), None, "one value per channel"),
        ((), (), None, "one value per channel"),
        ((0.5,), (0.0,), None, "std > 0"),
        ((0.5,), (math.inf,), None, "std > 0"),
        ((float("nan"),), (1.0,), None, "finite"),
        ((0.5,), (0.5,), 0, "size"),
    ],
)
def test_an_impossible_preprocessing_is_refused(
    mean: tuple[float, ...], std: tuple[float, ...], size: int | None, words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        PreprocessingConfig(mean=mean, std=std, size=size)


@pytest.mark.parametrize("kind", [Preprocessing, ExactPreprocessing])
def test_a_crop_is_seen_after_the_resize(kind: type[Preprocessing | ExactPreprocessing]) -> None:
    config = PreprocessingConfig(mean=(0.4,), std=(0.3,), size=12, interpolation="bicubic", antialias=True)
    x = torch.rand(2, 1, 8, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1
    whole, cropped = kind(config)(x), kind(replace(config, crop=(1, 9)))(x)
    assert torch.equal(cropped, whole[:, :, 1:10, 1:10])


def test_a_crop_beyond_the_image_is_refused() -> None:
    with pytest.raises(ValueError, match=r"a crop of 9 pixels from 0 needs more than images of \[8, 8\]"):
        Preprocessing(PreprocessingConfig(mean=(0.4,), std=(0.3,), crop=(0, 9)))(torch.zeros(1, 1, 8, 8))
    for crop in ((-1, 4), (0, 0)):
        with pytest.raises(ValueError, match="a crop needs a first row of at least 0 and 1 row"):
            PreprocessingConfig(mean=(0.4,), std=(0.3,), crop=crop)
