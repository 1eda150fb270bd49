"""Each entry of preprocessor_config.json is taken over, or refused by its name."""

from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from purecert.engine.errors import InputError
from purecert.train.importing.assemble import ImportSpec, Source, import_model
from purecert.train.importing.choices import silent
from purecert.train.importing.classifier import Classifier
from purecert.train.importing.classifier_input import prepared
from purecert.train.importing.hugging_face.input import HfInput, read_hf_input
from purecert.train.models.preprocessing import Preprocessing
from support.checkpoint_files import write_json
from support.vit_files import small_vit, write_vit


def _read(folder: Path, channels: int = 3, image_size: int | None = 20) -> HfInput:
    found = read_hf_input(folder, channels, image_size)
    assert found is not None
    return found


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
    found = _read(tmp_path)
    assert (found.preprocessing.mean, found.preprocessing.std) == ((0.1, 0.2, 0.3), (0.5, 0.5, 0.5))
    assert (found.preprocessing.size, found.resample) == (20, "bilinear")


@pytest.mark.parametrize("factor", [1.0, 1 / 127.5, 0.02])
def test_another_scale_of_the_pixels_is_taken_over(tmp_path: Path, factor: float) -> None:
    mean, std = [10.0, 0.5, 1.0], [50.0, 0.25, 2.0]
    write_json(tmp_path / "preprocessor_config.json", {"rescale_factor": factor, "image_mean": mean, "image_std": std})
    found = Preprocessing(_read(tmp_path, 3, 4).preprocessing)
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
        ({"image_processor_type": "EfficientNetImageProcessor"}, "expected image_processor_type ViTImageProcessor"),
        ({"feature_extractor_type": "MobileViTFeatureExtractor"}, "found MobileViTFeatureExtractor, which does other"),
        ({"image_processor_type": 3}, "expected image_processor_type ViTImageProcessor or .*, found 3"),
        ({"rescale_offset": True}, "expected entries that purecert knows, found rescale_offset"),
        ({"image_mean": [0.5]}, "expected image_mean of 3 channels, as the network takes, found 1"),
    ],
)
def test_what_is_not_done_is_refused_by_its_name(tmp_path: Path, content: dict[str, Any], words: str) -> None:
    write_json(tmp_path / "preprocessor_config.json", content)
    with pytest.raises(InputError, match=words) as caught:
        _read(tmp_path)
    assert "\n" not in str(caught.value)


_FULL = {"size": 20, "resample": 3, "image_mean": [0.5] * 3, "image_std": [0.25] * 3}
_CROP = {"do_center_crop": True, "crop_size": 20}


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        (
            "DeiTImageProcessor",
            {"crop_size": None, "size": 24},
            "expected crop_size in it, found none; write in it what",
        ),
        (
            "DeiTImageProcessor",
            {"size": 16},
            "expected crop_size of at most 16, the size, found 20; no image is padded",
        ),
        ("DeiTImageProcessor", {"do_resize": False, "crop_size": 16}, "found a center crop of 16 out of 20"),
        ("DeiTImageProcessor", {"resample": None}, "expected resample in it, found none; versions of the library"),
        ("BitImageProcessor", {"image_mean": None}, "expected image_mean in it"),
        ("BitImageProcessor", {"image_std": None}, "expected image_std in it"),
        ("BitImageProcessor", {"crop_pct": 0.9}, "expected crop_pct 1, found 0.9"),
        ("ConvNextImageProcessor", {"do_center_crop": False}, "expected crop_pct in it, found none"),
        ("ConvNextImageProcessor", {"crop_pct": 0.5, "crop_size": 12}, "found a center crop of 12 out of 20"),
        ("PoolFormerImageProcessor", {}, "expected crop_pct in it, found none"),
        ("PoolFormerImageProcessor", {"crop_pct": 0}, r"expected crop_pct in \[0\.01, 1\], found 0"),
        ("ConvNextImageProcessor", {"crop_pct": 5e-324, "size": 40}, r"expected crop_pct in \[0\.01, 1\]"),
        ("LevitImageProcessor", {"size": 10**400}, "expected size as one whole number of at most 16384"),
        ("LevitImageProcessor", {"size": {"height": 20, "width": 20}}, "expected size as shortest_edge, found height"),
        ("LevitImageProcessor", {"default_to_square": True}, "expected size as shortest_edge, found height"),
        ("CLIPImageProcessor", {"do_center_crop": None}, "expected do_center_crop in it, found none"),
        ("BitImageProcessor", {"image_std": 1e-44}, "expected mean of at most 1e"),
        ("SiglipImageProcessor", {"size": 24}, "found a center crop of 20 out of 24"),
    ],
)
def test_what_versions_of_a_processor_do_differently_must_be_recorded(
    tmp_path: Path, name: str, content: dict[str, Any], words: str
) -> None:
    write_json(tmp_path / "preprocessor_config.json", {"image_processor_type": name} | _FULL | _CROP | content)
    with pytest.raises(InputError, match=words):
        _read(tmp_path)


def test_a_file_without_a_name_is_of_a_vit_only(tmp_path: Path) -> None:
    """The library chooses a processor by the network's kind."""
    write_json(tmp_path / "preprocessor_config.json", dict(_FULL))
    write_json(tmp_path / "config.json", {"model_type": "vit"})
    assert _read(tmp_path).preprocessing.size == 20
    write_json(tmp_path / "config.json", {"model_type": "resnet"})
    with pytest.raises(InputError, match="expected image_processor_type in it, found none"):
        _read(tmp_path)


def test_a_processor_that_the_library_prefers_is_refused(tmp_path: Path) -> None:
    write_json(tmp_path / "preprocessor_config.json", dict(_FULL))
    write_json(tmp_path / "processor_config.json", {"processor_class": "CLIPProcessor"})
    assert _read(tmp_path).preprocessing.size == 20
    write_json(tmp_path / "processor_config.json", {"image_processor": {"image_mean": [0, 0, 0]}})
    with pytest.raises(InputError, match="expected no image_processor in it"):
        _read(tmp_path)


def test_a_link_to_nowhere_is_no_missing_file(tmp_path: Path) -> None:
    (tmp_path / "preprocessor_config.json").symlink_to(tmp_path / "gone")
    with pytest.raises(InputError, match=r"preprocessor_config\.json"):
        _read(tmp_path)


def test_without_a_size_of_its_own_a_network_sees_what_is_recorded(tmp_path: Path) -> None:
    path = tmp_path / "preprocessor_config.json"
    write_json(path, {"image_processor_type": "BitImageProcessor"} | _FULL | {"size": None, "do_center_crop": False})
    with pytest.raises(InputError, match="expected size in it, found none"):
        _read(tmp_path, image_size=None)
    write_json(path, {"image_processor_type": "BitImageProcessor"} | _FULL | {"size": 30, **_CROP, "image_mean": 0.5})
    found = _read(tmp_path, image_size=None).preprocessing
    assert (found.size, found.crop, found.mean) == (30, (5, 20), (0.5, 0.5, 0.5))
    write_json(path, {"do_resize": False, "size": None})
    assert _read(tmp_path, image_size=None).preprocessing.size is None


_PROCESSORS: list[tuple[str, str, dict[str, Any]]] = [
    ("vit", "ViTImageProcessor", {"size": {"height": 20, "width": 20}}),
    ("siglip", "SiglipImageProcessor", {"size": {"height": 20, "width": 20}}),
    ("beit", "BeitImageProcessor", {"size": {"height": 20, "width": 20}}),
    ("clip", "CLIPImageProcessor", {"size": {"shortest_edge": 25}, "crop_size": {"height": 20, "width": 20}}),
    ("deit", "DeiTImageProcessor", {"size": {"height": 24, "width": 24}, "crop_size": {"height": 19, "width": 19}}),
    ("mobilenet_v2", "MobileNetV2ImageProcessor", {"size": {"shortest_edge": 23}, "crop_size": 20}),
    ("convnext", "ConvNextImageProcessor", {"size": {"shortest_edge": 20}, "crop_pct": 0.7}),
    ("convnext", "ConvNextImageProcessor", {"size": {"shortest_edge": 384}, "crop_pct": 0.7}),
    ("levit", "LevitImageProcessor", {"size": {"shortest_edge": 20}, "crop_size": {"height": 20, "width": 20}}),
    ("poolformer", "PoolFormerImageProcessor", {"size": {"shortest_edge": 20}, "crop_size": 19, "crop_pct": 0.9}),
]


@pytest.mark.parametrize(("module", "name", "entries"), _PROCESSORS)
@pytest.mark.parametrize("size", [9, 31])
def test_a_processor_of_the_library_gives_the_same_pixels(
    tmp_path: Path, module: str, name: str, entries: dict[str, Any], size: int
) -> None:
    """The library rounds to whole grey levels after each of the two axes; a shift by one pixel would differ by tens."""
    pytest.importorskip("transformers", reason="transformers is not installed")
    library = import_module(f"transformers.models.{module}.image_processing_pil_{module}")
    processor = getattr(library, f"{name}Pil")(**entries)
    processor.save_pretrained(tmp_path)
    image = np.random.default_rng(0).integers(90, 160, (size, size, 3)).astype(np.uint8)  # no overshoot is clipped
    expected = torch.tensor(processor(image)["pixel_values"][0])[None]
    recorded = _read(tmp_path, image_size=None)
    classifier = Classifier(torch.nn.Identity(), 2, recorded.preprocessing, recorded.because, None, recorded.resample)
    identity = Source(kind="identity", path=None)
    wanted = prepared(classifier, ImportSpec(purifier=identity, classifier=identity), size, silent)
    found = Preprocessing(wanted)(torch.tensor(image).permute(2, 0, 1)[None] / 127.5 - 1)
    level = 1 / 255 / min(recorded.preprocessing.std)
    torch.testing.assert_close(found, expected.float(), atol=1.2 * level, rtol=0)


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
