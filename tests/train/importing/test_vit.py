"""Vision transformers of Hugging Face become classifiers that give the library's own logits."""

import re
from collections.abc import Mapping
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
import torch
from torch import Tensor

from purecert.engine.errors import InputError
from purecert.train.importing.assemble import ImportSpec, Source, import_model
from purecert.train.models.checkpoints import Model, load_model, save_model
from support.checkpoint_files import write_json, write_safetensors, write_torch
from support.golden import shared
from support.vit_files import VIT_CLASSES, small_vit, write_vit

_FILES = ["model.safetensors", "pytorch_model.bin"]


def _rows(name: str) -> list[tuple[str, list[int]]]:
    """Return the keys and shapes of a published list."""
    lines = shared(f"research/checkpoint-keys/{name}.txt").read_text().splitlines()
    rows = [line.split("\t") for line in lines if not line.startswith("#")]
    return [(row[0], [int(n) for n in row[1].strip("()").split(",") if n]) for row in rows]


def _hub_names(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the weights under the names on the hub, as the two published lists, line by line, have it."""
    pairs = zip(_rows("hf_vit_b16_cifar10"), _rows("hf_vit_b16_cifar10_hubnames"), strict=True)
    names = {new: old for (new, _), (old, _) in pairs}

    def rename(key: str) -> str:
        number = re.search(r"layers\.(\d+)\.", key)
        if number is None:
            return names[key]
        first = names[key.replace(f"layers.{number[1]}.", "layers.0.")]
        return first.replace("layer.0.", f"layer.{number[1]}.")

    return {rename(key): value for key, value in state.items()}


def _import(path: Path, **choices: Any) -> Model:
    source = Source(kind="hf-vit", path=path)
    return import_model(ImportSpec(purifier=Source(kind="identity", path=None), classifier=source, **choices))


@pytest.mark.shared
@pytest.mark.parametrize("file", _FILES)
@pytest.mark.parametrize("on_hub", [False, True], ids=["library", "hub"])
def test_a_folder_gives_the_librarys_own_logits(tmp_path: Path, file: str, on_hub: bool) -> None:
    network = small_vit()
    state = _hub_names(network.state_dict()) if on_hub else network.state_dict()
    assert ("vit.encoder.layer.2.output.dense.bias" in state) == on_hub
    model = _import(write_vit(tmp_path / "vit", state, file=file), image_size=20)
    x = torch.randn(5, 3, 20, 20)
    expected = network(pixel_values=x).logits
    assert expected.std() > 0.1
    assert model.classes == VIT_CLASSES
    torch.testing.assert_close(model.classifier(x), expected, atol=1e-6, rtol=1e-6)


def test_an_image_is_resized_and_centred_for_the_network(tmp_path: Path) -> None:
    model = _import(write_vit(tmp_path / "vit", small_vit().state_dict()), image_size=8)
    image = torch.rand(2, 3, 8, 8) * 2 - 1
    # Mean and std of 1/2 take [0, 1] to [-1, 1], where the image is already.
    expected = torch.nn.functional.interpolate(image, (20, 20), mode="bilinear")
    torch.testing.assert_close(model.preprocessing(image), expected)


def test_the_folders_own_normalisation_is_taken(tmp_path: Path) -> None:
    folder = write_vit(tmp_path / "vit", small_vit().state_dict())
    recorded = {"do_normalize": True, "image_mean": [0.1, 0.2, 0.3], "image_std": [0.4, 0.5, 1]}
    write_json(folder / "preprocessor_config.json", recorded)
    preprocessing: Any = _import(folder, image_size=20).preprocessing
    assert preprocessing.config.mean == (0.1, 0.2, 0.3)
    assert preprocessing.config.std == (0.4, 0.5, 1.0)


def test_names_of_classes_are_kept(tmp_path: Path) -> None:
    names = {str(place): f"kind {place}" for place in range(VIT_CLASSES)}
    folder = write_vit(tmp_path / "vit", small_vit().state_dict(), id2label=names)
    assert _import(folder, image_size=20).class_names == tuple(names.values())
    defaults = {str(place): f"LABEL_{place}" for place in range(VIT_CLASSES)}
    folder = write_vit(tmp_path / "other", small_vit().state_dict(), id2label=defaults)
    assert _import(folder, image_size=20).class_names == ()


def test_a_grey_network_takes_grey_images(tmp_path: Path) -> None:
    network = small_vit(num_channels=1)
    model = _import(write_vit(tmp_path / "vit", network.state_dict(), num_channels=1), image_size=20)
    x = torch.randn(2, 1, 20, 20)
    assert model.input_shape == (1, 20, 20)
    torch.testing.assert_close(model.classifier(x), network(pixel_values=x).logits)


def test_an_imported_model_survives_its_file(tmp_path: Path) -> None:
    folder = write_vit(tmp_path / "vit", small_vit().state_dict())
    model = _import(folder, image_size=16, resize="bicubic", preprocessing="exact")
    save_model(model, tmp_path / "model.pt")
    again = load_model(tmp_path / "model.pt")
    x = torch.rand(2, 3, 16, 16) * 2 - 1
    assert torch.equal(again.classifier(again.preprocessing(x)), model.classifier(model.preprocessing(x)))
    assert re.fullmatch(r"hf-vit: vit/ with model\.safetensors, sha256 [0-9a-f]{64}", again.sources[1])


@pytest.mark.slow
@pytest.mark.shared
@pytest.mark.parametrize("name", ["hf_vit_b16_cifar10", "hf_vit_b16_cifar10_hubnames"])
@pytest.mark.parametrize(
    "is_folder", [pytest.param(False, marks=pytest.mark.nightly), True], ids=["weights alone", "folder"]
)
def test_the_full_size_network_loads_strictly(tmp_path: Path, name: str, is_folder: bool) -> None:
    pytest.importorskip("transformers", reason="transformers is not installed")
    weights = {key: torch.zeros(shape, dtype=torch.float16) for key, shape in _rows(name)}
    first = next(key for key in weights if ".11." in key)  # of the last layer
    weights[first][:] = 0.5
    path = tmp_path / "model.safetensors"
    write_safetensors(path, weights)
    if is_folder:
        write_json(tmp_path / "config.json", {"model_type": "vit", "architectures": ["ViTForImageClassification"]})
    model = _import(tmp_path if is_folder else path, image_size=32)
    state = model.classifier.state_dict()
    assert sum(value.numel() for value in state.values()) == 85_806_346  # the first line of the list
    expected = next(key for key, _ in _rows("hf_vit_b16_cifar10") if ".11." in key)
    assert [key for key, value in state.items() if value.any()] == [f"network.{expected}"]


# --- what does not fit


@pytest.mark.shared
@pytest.mark.parametrize("on_hub", [False, True], ids=["library", "hub"])
@pytest.mark.parametrize(
    ("name", "shape"), [("classifier.bias", [7]), ("vit.layers.1.mlp.fc2.weight", [24, 40])], ids=["head", "layer"]
)
def test_a_weight_that_does_not_fit_is_named(tmp_path: Path, on_hub: bool, name: str, shape: list[int]) -> None:
    state = small_vit().state_dict()
    rename = _hub_names if on_hub else dict
    missing = {key: value for key, value in state.items() if key != name}
    with pytest.raises(InputError, match=rf"vit: weight '{name}' is missing"):
        _import(write_vit(tmp_path / "vit", rename(missing)))
    misshapen = state | {name: state[name][1:]}
    with pytest.raises(InputError, match=rf"weight '{name}': expected shape {re.escape(str(shape))}"):
        _import(write_vit(tmp_path / "vit", rename(misshapen)))
    more = {**rename(state), "vit.pooler.dense.bias": torch.zeros(24)}
    with pytest.raises(InputError, match=r"unknown weight 'vit\.pooler\.dense\.bias'"):
        _import(write_vit(tmp_path / "vit", more))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"model_type": "deit"}, "expected the configuration of a ViT, found another model's"),
        ({"hidden_act": "relu"}, "expected hidden_act gelu and qkv_bias true"),
        ({"qkv_bias": False}, "expected hidden_act gelu and qkv_bias true"),
        ({"num_attention_heads": 5}, "heads divide the hidden size"),
        ({"patch_size": 3}, "patches must tile the image"),
        ({"image_size": [20, 20]}, "image_size: expected a value of type int, found "),
        ({"num_hidden_layers": 2}, r"unknown weight 'vit\.layers\.2"),
        ({"num_hidden_layers": 4}, r"weight 'vit\.layers\.3\..*' is missing"),
        ({"hidden_size": 48}, "expected shape"),
        ({"num_hidden_layers": 1_000_000}, "at most 256 layers"),
        ({"hidden_size": 12 * 10**17}, "of which a network can be built"),
        ({"image_size": 16 * 10**17}, "of which a network can be built"),
        ({"intermediate_size": 2**63 - 1}, "of which a network can be built"),
        ({"num_channels": 10**30}, "of which a network can be built"),
    ],
)
def test_a_configuration_that_does_not_fit_is_refused(tmp_path: Path, change: dict[str, Any], words: str) -> None:
    folder = write_vit(tmp_path / "vit", small_vit().state_dict(), **change)
    began = monotonic()
    with pytest.raises(InputError, match=words) as caught:
        _import(folder)
    assert "\n" not in str(caught.value)
    assert monotonic() - began < 2


@pytest.mark.parametrize(
    ("file", "text", "words"),
    [
        ("config.json", "[" * 100_000, r"config\.json: expected the configuration of a ViT as JSON"),
        ("config.json", "3", r"config\.json: expected the configuration of a ViT as a JSON object"),
        ("config.json", " " * 1_000_001 + "{}", r"config\.json: expected the configuration of a ViT"),
        ("config.json", "\udcff", r"config\.json: expected the configuration of a ViT as JSON"),
        (
            "preprocessor_config.json",
            "{",
            r"preprocessor_config\.json: expected the preprocessing of a network as JSON",
        ),
        ("preprocessor_config.json", '{"do_normalize": false}', "expected do_normalize true"),
        ("preprocessor_config.json", '{"image_mean": [0, 0]}', "expected image_mean of 3 channels"),
        ("preprocessor_config.json", '{"image_std": [1, 0, 1]}', "std > 0"),
    ],
)
def test_a_damaged_file_of_a_folder_is_named_in_one_line(tmp_path: Path, file: str, text: str, words: str) -> None:
    folder = write_vit(tmp_path / "vit", small_vit().state_dict())
    (folder / file).write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(InputError, match=words) as caught:
        _import(folder, image_size=20)
    assert "\n" not in str(caught.value)


def test_a_folder_without_weights_or_configuration_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"expected model\.safetensors or pytorch_model\.bin in it, found neither"):
        _import(tmp_path)
    write_torch(tmp_path / "pytorch_model.bin", small_vit().state_dict())
    with pytest.raises(InputError, match=r"config\.json: cannot be read"):
        _import(tmp_path)


def test_a_network_of_one_class_is_refused(tmp_path: Path) -> None:
    path = write_torch(tmp_path / "a.bin", {"classifier.weight": torch.zeros(1, 768)})
    with pytest.raises(InputError, match="need at least 2 classes"):
        _import(path)


def test_the_size_of_the_images_must_be_said(tmp_path: Path) -> None:
    folder = write_vit(tmp_path / "vit", small_vit().state_dict())
    with pytest.raises(InputError, match="expected --image-size, since neither purifier nor classifier fixes"):
        _import(folder)
