"""Public checkpoints become models that classify real images as their publishers say."""

from pathlib import Path

import numpy as np
import pytest
import torch

from purecert.train.importing.assemble import ImportSpec, Source, import_model
from purecert.train.models.checkpoints import Model, load_model, save_model
from support.golden import shared

pytestmark = [pytest.mark.shared, pytest.mark.slow]

_RESNET = "data/weights/resnet56-4bfd9763.th"
_FFDNET = "data/weights/color_kair/ffdnet_color.pth"
_DNCNN = "data/weights/color_kair/dncnn_color_blind.pth"
_DDPM = "data/weights/cifar10_ddpm_hirokiuemura2/model_weights_shallow_24Channels.pth"


def _import(purifier: str) -> Model:
    kind, _, path = purifier.partition("=")
    source = Source(kind=kind, path=shared(path) if path else None)
    return import_model(ImportSpec(purifier=source, classifier=Source(kind="cifar-resnet", path=shared(_RESNET))))


def _accuracy(model: Model, sigma: float, images: int) -> float:
    """Return the share of the first images that are classified right from one noisy draw each."""
    with np.load(shared("data/cifar10/cifar10_test_skip20_500.npz"), allow_pickle=False) as file:
        x, labels = torch.from_numpy(file["x"][:images]) / 127.5 - 1, torch.from_numpy(file["y"][:images])
    noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        clean = model.purifier(x + 2 * sigma * noise, sigma)
        found = model.classifier(model.preprocessing(clean)).argmax(dim=1)
    return float((found == labels).double().mean())


# One draw of 500 images, as measured elsewhere; the accuracy of 250 of them has a deviation of up to .032.
@pytest.mark.parametrize(
    ("purifier", "sigma", "published"),
    [
        pytest.param(f"ffdnet={_FFDNET}", 0.12, 0.767, marks=pytest.mark.nightly),
        (f"ffdnet={_FFDNET}", 0.25, 0.535),
        (f"film-ddpm={_DDPM}", 0.12, 0.738),
        pytest.param(f"film-ddpm={_DDPM}", 0.25, 0.502, marks=pytest.mark.nightly),
        ("identity", 0.12, 0.19),
        pytest.param("identity", 0.25, 0.12, marks=pytest.mark.nightly),
    ],
)
def test_purified_images_are_classified_as_often_as_measured_elsewhere(
    purifier: str, sigma: float, published: float
) -> None:
    assert _accuracy(_import(purifier), sigma, 250) == pytest.approx(published, abs=0.1)


@pytest.mark.parametrize(
    ("normalisation", "least", "most"),
    [(None, 0.88, 1.0), ((0.0, 1.0), 0.0, 0.65)],
    ids=["the publisher's", "none"],
)
def test_a_wrong_normalisation_costs_accuracy_and_the_choice_is_said(
    normalisation: tuple[float, float] | None, least: float, most: float
) -> None:
    """No file of a CIFAR ResNet has its mean and std, so the choice must be in the model's record."""
    source = Source(kind="cifar-resnet", path=shared(_RESNET))
    given = {} if normalisation is None else {"mean": (normalisation[0],) * 3, "std": (normalisation[1],) * 3}
    model = import_model(ImportSpec(purifier=Source(kind="identity", path=None), classifier=source, **given))
    assert least < _accuracy(model, 0.0, 250) < most
    (said,) = [line for line in model.choices if line.startswith("classifier's std: ")]
    assert ("(given)" in said) == (normalisation is not None)


def test_the_blind_denoiser_takes_its_noise_away() -> None:
    undefended, purified = _accuracy(_import("identity"), 0.12, 100), _accuracy(_import(f"dncnn={_DNCNN}"), 0.12, 100)
    assert purified > undefended + 0.3


def test_an_imported_model_survives_its_file(tmp_path: Path) -> None:
    model = _import(f"film-ddpm={_DDPM}")
    save_model(model, tmp_path / "model.pt")
    again = load_model(tmp_path / "model.pt")
    x = torch.randn(2, 3, 32, 32)
    assert torch.equal(model.purifier(x, 0.25), again.purifier(x, 0.25))
    assert again.sources == model.sources
    assert "model_weights_shallow_24Channels.pth, sha256" in again.sources[0]
    assert again.purifier.time_rule == "first-above of linear 1000"
