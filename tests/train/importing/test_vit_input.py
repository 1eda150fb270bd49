"""Each entry of preprocessor_config.json is taken over, or refused by its name."""

from pathlib import Path
from typing import Any

import pytest
import torch

from purecert.engine.errors import InputError
from purecert.train.importing.assemble import ImportSpec, Source, import_model
from purecert.train.importing.vit_input import read_vit_input
from purecert.train.models.preprocessing import Preprocessing
from support.checkpoint_files import write_json
from support.vit_files import small_vit, write_vit


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"size": 20},
        {"size": {"height": 20, "width": 20}, "image_processor_type": "ViTImageProcessor"},
        {"size": {"shortest_edge": 20}, "do_rescale": True, "rescale_factor": 1 / 255},
        {"rescale_factor": 0.00392156862745098, "feature_extractor_type": "ViTFeatureExtractor"},
        {"do_center_crop": True, "crop_size": {"height": 20, "width": 20}, "crop_pct": 1.0},
        {"do_center_crop": None, "crop_size": None, "crop_pct": None, "do_convert_rgb": None, "do_pad": False},
    ],
)
def test_what_is_the_same_as_a_resize_of_the_whole_image_is_taken(tmp_path: Path, content: dict[str, Any]) -> None:
    write_json(tmp_path / "preprocessor_config.json", content | {"image_mean": [0.1, 0.2, 0.3]})
    found = read_vit_input(tmp_path, 3, 20)
    assert (found.preprocessing.mean, found.preprocessing.std) == ((0.1, 0.2, 0.3), (0.5, 0.5, 0.5))
    assert (found.preprocessing.size, found.resample) == (20, "bilinear")


@pytest.mark.parametrize("factor", [1.0, 1 / 127.5, 0.02])
def test_another_scale_of_the_pixels_is_taken_over(tmp_path: Path, factor: float) -> None:
    mean, std = [10.0, 0.5, 1.0], [50.0, 0.25, 2.0]
    write_json(tmp_path / "preprocessor_config.json", {"rescale_factor": factor, "image_mean": mean, "image_std": std})
    found = Preprocessing(read_vit_input(tmp_path, 3, 4).preprocessing)
    levels = torch.arange(48.0).reshape(1, 3, 4, 4) * 5
    expected = (levels * factor - torch.tensor(mean)[:, None, None]) / torch.tensor(std)[:, None, None]
    torch.testing.assert_close(found(levels / 255 * 2 - 1), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"do_rescale": False}, "expected do_rescale true"),
        ({"rescale_factor": 0.0}, "expected a rescale_factor above 0"),
        ({"rescale_factor": -1}, "expected a rescale_factor above 0"),
        ({"rescale_factor": "1/255"}, "rescale_factor: expected a finite number"),
        ({"size": 24}, "expected size 20, as the network's config.json has it, found 24"),
        ({"size": {"shortest_edge": 24}}, "expected size 20"),
        ({"size": {"height": 20, "width": 24}}, "expected size as one whole number"),
        ({"size": {"longest_edge": 20}}, "expected size as one whole number"),
        ({"size": {}}, "expected size as one whole number"),
        ({"size": True}, "expected size as one whole number"),
        ({"size": 24, "do_center_crop": True, "crop_size": 20}, "found a center crop of 20 out of 24"),
        ({"do_center_crop": True, "crop_size": 16}, "found a center crop of 16 out of 20"),
        ({"do_resize": False, "do_center_crop": True, "crop_size": 16}, "found a center crop of 16"),
        ({"crop_pct": 0.875}, "expected crop_pct 1, found 0.875"),
        ({"resample": "bicubic"}, "resample: expected a value of type int"),
        ({"do_flip_channel_order": True}, "expected do_flip_channel_order false"),
        ({"image_processor_type": "CLIPImageProcessor"}, "expected image_processor_type ViTImageProcessor"),
        ({"feature_extractor_type": "DeiTFeatureExtractor"}, "expected feature_extractor_type ViTImageProcessor"),
    ],
)
def test_what_is_not_done_is_refused_by_its_name(tmp_path: Path, content: dict[str, Any], words: str) -> None:
    write_json(tmp_path / "preprocessor_config.json", content)
    with pytest.raises(InputError, match=words) as caught:
        read_vit_input(tmp_path, 3, 20)
    assert "\n" not in str(caught.value)


def test_the_recorded_resize_is_taken_unless_another_is_given(tmp_path: Path) -> None:
    folder = write_vit(tmp_path / "vit", small_vit().state_dict())
    cases: list[tuple[dict[str, Any], int, str | None, tuple[str, bool] | str, str]] = [
        ({"resample": 3}, 8, None, ("bicubic", True), "bicubic, antialiased, from 8 pixels"),
        ({"resample": 2}, 8, None, ("bilinear", False), "as preprocessor_config.json records"),
        ({"resample": 2}, 32, None, ("bilinear", True), "bilinear, antialiased, from 32 pixels"),
        ({"resample": 3}, 8, "bilinear", ("bilinear", False), "(given)"),
        ({"resample": 1}, 8, None, "expected --resize, since the classifier's files record lanczos", ""),
        ({"resample": 1}, 20, None, ("bilinear", False), "none, the classifier sees images of 20 pixels"),
        ({"do_resize": False}, 8, None, "record no resize; give --image-size 20", ""),
        ({"do_resize": False}, 8, "bicubic", ("bicubic", True), "(given)"),
    ]
    identity, source = Source(kind="identity", path=None), Source(kind="hf-vit", path=folder)
    for content, size, resize, expected, words in cases:
        write_json(folder / "preprocessor_config.json", content)
        spec = ImportSpec(purifier=identity, classifier=source, image_size=size, resize=resize)  # type: ignore[arg-type]
        if isinstance(expected, str):
            with pytest.raises(InputError, match=expected):
                import_model(spec)
            continue
        model = import_model(spec)
        config: Any = model.preprocessing.get_submodule("").config
        assert (config.interpolation, config.antialias) == expected, content
        told = next(line for line in model.choices if line.startswith("resize: "))
        assert words in told
