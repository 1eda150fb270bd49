"""ART on the same module and images gives the same classes, and radii within sampling error; and back again."""

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import stats

import purecert
from purecert.engine.api.art_smoothing import eight_bits
from purecert.engine.errors import InputError
from purecert.engine.images.datasets import load_dataset

_SIGMA, _N, _IMAGES, _ALPHA = 0.25, 2000, 30, 1e-3


def _network() -> torch.nn.Module:
    """Return nearest class means of the digits, on pixels normalised by .3 and .4, as a linear layer."""
    digits = load_dataset("digits:train[:600]")
    means = np.array([digits.images[digits.labels == label].mean(axis=0).ravel() / 255 for label in range(10)])
    layer = torch.nn.Linear(64, 10)
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(0.4 * means))
        layer.bias.copy_(torch.from_numpy(0.3 * means.sum(axis=1) - (means**2).sum(axis=1) / 2))
    return torch.nn.Sequential(torch.nn.Flatten(), layer)


@pytest.mark.slow
def test_art_and_the_engine_certify_alike(tmp_path: Path) -> None:
    pytest.importorskip("art", reason="ART is not installed; CI installs it for this test", exc_type=ImportError)
    from art.estimators.certification.randomized_smoothing import PyTorchRandomizedSmoothing

    digits = load_dataset(f"digits:test[:{_IMAGES}]")
    x = digits.images.astype(np.float32) / 255
    theirs = PyTorchRandomizedSmoothing(
        model=_network(),
        loss=torch.nn.CrossEntropyLoss(),
        input_shape=(1, 8, 8),
        nb_classes=10,
        clip_values=(0, 1),
        preprocessing=(0.3, 0.4),
        sample_size=100,
        scale=_SIGMA,
        alpha=_ALPHA,
        device_type="cpu",
    )
    plan = purecert.export_art(
        theirs, sigmas=[_SIGMA], data="digits:test[:20]", out=tmp_path / "plan", parity_draws=400
    )
    ours = purecert.ArtSmoothing(plan, scale=_SIGMA, alpha=_ALPHA, threads=1)
    classes, radii = ours.certify(x, n=_N)
    their_classes, their_radii = theirs.certify(x, n=_N, batch_size=500)
    both = (classes >= 0) & (their_classes >= 0)
    assert both.sum() > _IMAGES / 2
    assert np.array_equal(classes[both], their_classes[both])
    # Each bound is at most six standard deviations of a share from the probability, and one more for the bound itself.
    p, q = stats.norm.cdf(radii[both] / _SIGMA), stats.norm.cdf(their_radii[both] / _SIGMA)
    assert np.all(np.abs(p - q) <= 6 * np.sqrt(2 * np.maximum(p * (1 - p), 1 / _N) / _N))
    assert abs(radii.mean() - their_radii.mean()) < 0.02 * _SIGMA + 0.01
    answers = ours.predict(x, batch_size=64, verbose=False, is_abstain=True)  # as ART's callers do
    assert answers.shape == (_IMAGES, 10)
    assert set(answers.sum(axis=1).tolist()) <= {0.0, 1.0}
    sure = (answers.sum(axis=1) == 1) & both
    assert np.array_equal(answers.argmax(axis=1)[sure], classes[sure])


def test_an_answer_that_would_be_a_guess_is_not_given() -> None:
    smoothing = purecert.ArtSmoothing("nowhere", scale=0.25)
    with pytest.raises(InputError, match="no answer that it would have to guess"):
        smoothing.predict(np.zeros((1, 1, 8, 8)), is_abstain=False)


def test_only_eight_bit_images_are_taken() -> None:
    pixels = np.arange(256, dtype=np.uint8).reshape(1, 1, 16, 16)
    assert np.array_equal(eight_bits(pixels.astype(np.float32) / 255), pixels)
    for bad in (np.full((1, 1, 2, 2), 0.5), np.full((1, 1, 2, 2), 1.1), np.full((1, 1, 2, 2), np.nan), pixels):
        with pytest.raises(InputError, match=r"expected (8-bit images divided by 255|images of floats)"):
            eight_bits(bad)


class _Classifier:
    """The attributes that ART's classifiers have: the package is not needed to refuse one."""

    model, clip_values, channels_first, input_shape = torch.nn.Flatten(), (np.zeros(1), np.ones(1)), True, (1, 8, 8)
    preprocessing_defences = postprocessing_defences = None
    preprocessing_operations: tuple[object, ...] = ()


def test_what_a_plan_cannot_hold_is_refused(tmp_path: Path) -> None:
    for name, value, words in (
        ("model", None, "expected an ART PyTorchClassifier with clip_values"),
        ("clip_values", None, "expected an ART PyTorchClassifier with clip_values"),
        ("clip_values", (np.zeros(2), np.array([1.0, 2.0])), "the same clip_values for every pixel"),
        ("channels_first", False, "channels first"),
        ("preprocessing_defences", [object()], "without defences"),
        ("preprocessing_operations", (object(),), "by mean and std alone, got object"),
    ):
        classifier = _Classifier()
        setattr(classifier, name, value)
        with pytest.raises(InputError, match=words):
            purecert.export_art(classifier, sigmas=[_SIGMA], data="digits:test[:20]", out=tmp_path / "plan")
