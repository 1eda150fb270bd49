"""A classifier that is asked at a noise level stands alone: what would change its noise before it is refused."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from purecert.engine.errors import InputError
from purecert.train.models.checkpoints import load_model, save_model
from purecert.train.models.preprocessing import ExactPreprocessing, Preprocessing, PreprocessingConfig
from support.rrcm_models import rrcm_model
from support.small_models import small_model

_HALF: dict[str, Any] = {"mean": (0.5,), "std": (0.5,)}


@pytest.mark.parametrize("normalises", [False, True])
def test_such_a_model_comes_back_from_its_file(tmp_path: Path, normalises: bool) -> None:
    model = rrcm_model(normalises=normalises)
    save_model(model, tmp_path / "model.pt")
    again = load_model(tmp_path / "model.pt")
    x = torch.randn(3, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    assert torch.equal(again.classifier(x, 0.25), model.classifier(x, 0.25))
    assert again.classifier.config == model.classifier.config


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"purifier": "EDM"}, "expected no purifier before a classifier that is asked at a noise level, found Edm"),
        ({"preprocessing": Preprocessing(PreprocessingConfig(mean=(0.5,), std=(0.4,)))}, "expected images as they are"),
        ({"preprocessing": Preprocessing(PreprocessingConfig(mean=(0.3,), std=(0.5,)))}, "expected images as they are"),
        ({"preprocessing": Preprocessing(PreprocessingConfig(**_HALF, size=16))}, "expected images as they are"),
        ({"preprocessing": ExactPreprocessing(PreprocessingConfig(**_HALF))}, "expected images as they are"),
    ],
)
def test_what_would_change_its_noise_is_refused(tmp_path: Path, change: dict[str, Any], words: str) -> None:
    if "purifier" in change:
        change = {"purifier": small_model("EDM").purifier}
    model = replace(rrcm_model(), **change)
    save_model(model, tmp_path / "model.pt")
    with pytest.raises(InputError, match=words):
        load_model(tmp_path / "model.pt")
