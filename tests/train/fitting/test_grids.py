"""Pictures show the images that they are given, in rows with a caption."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image as Picture

from purecert.train.fitting.draws import Draws
from purecert.train.fitting.grids import purification_rows, sample_rows, write_grid
from purecert.train.purifiers.identity import IdentityConfig, IdentityPurifier


def test_rows_are_clean_then_noisy_and_purified_by_one_noise() -> None:
    clean = torch.rand(3, 1, 4, 4) * 2 - 1
    rows = purification_rows(IdentityPurifier(IdentityConfig()), clean, (0.25, 0.5), Draws(4, 3))
    assert [caption for caption, _ in rows] == ["clean", "sigma 0.25", "purified", "sigma 0.5", "purified"]
    noise = Draws(4, 3).normal(1, 4, 4)
    torch.testing.assert_close(rows[1][1], clean + 0.5 * noise)
    torch.testing.assert_close(rows[3][1], clean + 1.0 * noise)
    assert torch.equal(rows[2][1], rows[1][1])  # the identity leaves what it is given


def test_samples_are_what_becomes_of_noise() -> None:
    (caption, first), (_, second) = sample_rows(
        IdentityPurifier(IdentityConfig()), (1, 4, 4), 2.0, Draws(4, 5), count=2
    )
    assert caption == "samples 1"
    assert torch.equal(first, 4 * Draws(4, 5).normal(1, 4, 4))
    assert not torch.equal(first, second)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_picture_holds_its_images_enlarged_and_clipped(tmp_path: Path, channels: int) -> None:
    images = torch.tensor([-3.0, -1.0, 0.0, 1.0, 3.0])[:, None, None, None].expand(5, channels, 2, 2)
    for _ in range(2):
        write_grid([("one", images), ("two", -images)], tmp_path / "grid.png")
    page = np.asarray(Picture.open(tmp_path / "grid.png"))
    height = page.shape[0] // 2
    for top, levels in ((0, [0, 0, 128, 255, 255]), (height, [255, 255, 128, 0, 0])):
        side = 50  # 48 pixels and a gap
        found = [page[top + 24, 96 + 24 + side * i].tolist() for i in range(5)]
        assert found == [[level] * 3 for level in levels]
    assert int(page[:, :96].min()) < 64  # a caption
    assert [entry.name for entry in tmp_path.iterdir()] == ["grid.png"]


def test_images_of_several_shapes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="images of one shape"):
        write_grid([("a", torch.zeros(1, 1, 2, 2)), ("b", torch.zeros(1, 1, 4, 4))], tmp_path / "grid.png")
