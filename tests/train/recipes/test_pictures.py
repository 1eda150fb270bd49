"""A purifier's stage is shown as one picture; a classifier's has none."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from purecert.engine.errors import BackendError
from purecert.train.fitting.data import Images
from purecert.train.fitting.draws import Draws, step_seed
from purecert.train.fitting.session import Session
from purecert.train.models.checkpoints import load_model
from purecert.train.recipes import asking
from purecert.train.recipes.asking import Asked, train
from purecert.train.recipes.paper.recipe import PaperRecipe
from purecert.train.recipes.pictures import FILE, draw_pictures


def test_rows_are_clean_noisy_purified_and_samples(work: Path, images: Images, tmp_path: Path) -> None:
    model = load_model(work / "distillation.pt")
    draw_pictures(model, images, 3, tmp_path)
    page = np.asarray(Image.open(tmp_path / FILE))
    side = 58  # 56 pixels, twice 28, and a gap
    assert page.shape == (9 * side, 96 + 10 * side, 3)  # clean, three times noisy and purified, two of samples

    def shown(row: int, column: int) -> torch.Tensor:
        top, left = row * side, 96 + column * side
        return torch.from_numpy(page[top : top + 56 : 2, left : left + 56 : 2, 0].astype(np.float32)) / 127.5 - 1

    clean = images.pixels[4, 0]
    torch.testing.assert_close(shown(0, 4), clean, atol=0.005, rtol=0)
    noisy = clean + 2 * 0.25 * Draws(step_seed(3, "pictures", 0), 10).normal(1, 28, 28)[4, 0]
    torch.testing.assert_close(shown(1, 4), noisy.clamp(-1, 1), atol=0.005, rtol=0)


def test_a_model_without_a_purifier_has_no_picture(work: Path, images: Images, tmp_path: Path) -> None:
    draw_pictures(load_model(work / "classifier.pt"), images, 3, tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.slow  # three stages of a step each at full width
def test_a_training_in_a_folder_leaves_a_picture_of_each_purifier(
    images: Images, recipe: PaperRecipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asking, "load_images", lambda data, data_dir: images)
    monkeypatch.setattr(Asked, "paper", lambda asked: recipe)
    for stage in ("classifier", "teacher"):
        train(Asked(recipe="fashion-mnist", stage=stage), Session(folder=tmp_path))
    assert (tmp_path / "teacher" / FILE).exists()
    assert not (tmp_path / "classifier" / FILE).exists()


def test_without_pillow_a_training_in_a_folder_does_not_begin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("purecert.train.fitting.grids.find_spec", lambda name: None)
    with pytest.raises(BackendError, match="pictures are drawn by Pillow, which is absent"):
        train(Asked(recipe="fashion-mnist"), Session(folder=tmp_path))
