"""Classifiers of other libraries: impossible shapes and names are refused, and so is a missing library."""

import sys

import pytest

from purecert.engine.errors import BackendError
from purecert.train.networks.vit import TimmClassifier, TimmConfig, Vit, VitConfig


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"image_size": 0}, "positive sizes"),
        ({"patch_size": 0}, "positive sizes"),
        ({"channels": 0}, "positive sizes"),
        ({"hidden": 0}, "positive sizes"),
        ({"layers": 0}, "positive sizes"),
        ({"heads": 0}, "positive sizes"),
        ({"patch_size": 15}, "patches must tile the image"),
        ({"heads": 7}, "heads divide the hidden size"),
        ({"classes": 1}, "at least 2 classes"),
        ({"intermediate": 0}, "positive intermediate size"),
        ({"norm_eps": -1e-12}, "norm_eps must be"),
        ({"norm_eps": float("nan")}, "norm_eps must be"),
    ],
)
def test_an_impossible_vit_is_refused(change: dict[str, float], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        VitConfig(**{"classes": 10, **change})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "name", ["hf-hub:someone/something", "hf_hub:a", "local-dir:/some/model", "../model", "a b", ""]
)
def test_a_name_that_would_fetch_a_model_from_elsewhere_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="expected a plain timm name such as vit_base_patch16_224"):
        TimmConfig(name=name, classes=10)


@pytest.mark.parametrize("name", ["resnet18", "vit_base_patch16_224.augreg_in21k"])
def test_names_of_timm_are_taken(name: str) -> None:
    assert TimmConfig(name=name, classes=10).name == name


def test_a_timm_classifier_of_one_class_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 2 classes"):
        TimmConfig(name="resnet18", classes=1)


def test_a_missing_library_is_named_with_its_fix(monkeypatch: pytest.MonkeyPatch) -> None:
    for package in ("timm", "transformers"):
        monkeypatch.setitem(sys.modules, package, None)  # as Python itself marks what cannot be imported
    with pytest.raises(BackendError, match=r"needs the package timm; run: pip install 'purecert\[train\]'"):
        TimmClassifier(TimmConfig(name="resnet18", classes=10))
    with pytest.raises(BackendError, match=r"needs the package transformers; run: pip install 'purecert\[import\]'"):
        Vit(VitConfig(classes=10))
