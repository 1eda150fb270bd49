"""Image classifiers of Hugging Face folders give the library's own logits; nothing of a folder is run or fetched."""

import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from purecert.engine.errors import InputError
from purecert.train.importing.assemble import ImportSpec, Source, import_model
from purecert.train.models.checkpoints import Model, load_model, save_model
from support.checkpoint_files import write_safetensors, write_torch
from support.hf_files import HF_CLASSES, NAMES, write_hf, write_hf_input


@pytest.fixture(autouse=True)
def _without_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError("the tests have no network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def _import(path: Path, kind: str = "hf", **choices: Any) -> Model:
    source = Source(kind=kind, path=path)
    spec = ImportSpec(purifier=Source(kind="identity", path=None), classifier=source, **{"image_size": 32} | choices)
    return import_model(spec)


def _edit(folder: Path, **changes: Any) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.mark.parametrize("kind", ["resnet", "vit", "swin", "deit"])
def test_a_folder_gives_the_librarys_own_logits(tmp_path: Path, kind: str, capfd: pytest.CaptureFixture[str]) -> None:
    network = write_hf(tmp_path / "own", kind)
    write_hf_input(tmp_path / "own")
    capfd.readouterr()
    model = _import(tmp_path / "own")
    save_model(model, tmp_path / "model.pt")
    again = load_model(tmp_path / "model.pt")
    assert capfd.readouterr() == ("", "")
    x = torch.randn(4, 3, 32, 32)
    expected = network(pixel_values=x).logits
    assert expected.std() > 0.01
    for found in (model, again):
        torch.testing.assert_close(found.classifier(x), expected, atol=1e-6, rtol=1e-6)
    assert (again.classes, again.class_names) == (HF_CLASSES, ())


def test_names_of_classes_and_the_recorded_crop_are_kept(tmp_path: Path) -> None:
    write_hf(tmp_path, id2label=dict(enumerate(NAMES)), label2id={name: i for i, name in enumerate(NAMES)})
    write_hf_input(tmp_path)
    model = _import(tmp_path, image_size=16)
    preprocessing: Any = model.preprocessing
    assert model.class_names == tuple(NAMES)
    assert (preprocessing.config.size, preprocessing.config.crop) == (36, (2, 32))
    assert "crop: the middle 32 pixels (as preprocessor_config.json records)" in model.choices
    assert "resize: bicubic, antialiased, from 16 pixels to 36 (as preprocessor_config.json records)" in model.choices
    whole = _import(tmp_path, image_size=16, classifier_size=32)
    preprocessing = whole.preprocessing
    assert (preprocessing.config.size, preprocessing.config.crop) == (32, None)
    assert "crop: none, whole images (size given)" in whole.choices


def test_one_channel_and_many_classes_are_read(tmp_path: Path) -> None:
    network = write_hf(tmp_path, num_channels=1, num_labels=1000)
    write_hf_input(tmp_path, channels=1)
    model = _import(tmp_path)
    x = torch.randn(2, 1, 32, 32)
    assert (model.input_shape, model.classes) == ((1, 32, 32), 1000)
    torch.testing.assert_close(model.classifier(x), network(pixel_values=x).logits)


@pytest.mark.parametrize("write", [write_torch, write_safetensors])
def test_weights_of_other_files_and_precisions_are_read(tmp_path: Path, write: Callable[..., Path]) -> None:
    network = write_hf(tmp_path)
    write_hf_input(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    name = "pytorch_model.bin" if write is write_torch else "model.safetensors"
    state = {f"module.{key}": value.to(torch.float64) for key, value in network.state_dict().items()}
    write(tmp_path / name, state)
    _edit(tmp_path, dtype="float16", _name_or_path="somebody/something", output_hidden_states=True)
    x = torch.randn(2, 3, 32, 32)
    torch.testing.assert_close(_import(tmp_path).classifier(x), network(pixel_values=x).logits)


def test_without_recorded_input_mean_and_std_must_be_given(tmp_path: Path) -> None:
    write_hf(tmp_path)
    with pytest.raises(InputError, match="expected --mean and --std, since no file of the classifier records its"):
        _import(tmp_path, mean=(0.1, 0.2, 0.3))
    model = _import(tmp_path, mean=(0.1, 0.2, 0.3), std=(1.0, 1.0, 1.0))
    assert "classifier's mean: 0.1,0.2,0.3 (given)" in model.choices


# --- what does not fit, and what is hostile


@pytest.mark.parametrize("words", ["is missing", "unknown weight", "shape"])
def test_a_weight_that_does_not_fit_is_named(tmp_path: Path, words: str) -> None:
    network = write_hf(tmp_path)
    write_hf_input(tmp_path)
    state = dict(network.state_dict())
    key = "resnet.encoder.stages.1.layers.0.shortcut.convolution.weight"
    match words:
        case "is missing":
            del state[key]
        case "unknown weight":
            state["resnet.twin"] = state[key].clone()
        case _:
            state[key] = torch.cat([state[key]] * 2)
            words = r"expected shape \[16, 8, 1, 1\], found \[32, 8, 1, 1\]"
    write_safetensors(tmp_path / "model.safetensors", state)
    with pytest.raises(InputError, match=words) as caught:
        _import(tmp_path)
    assert "\n" not in str(caught.value)
    assert "twin" in str(caught.value) or key in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"auto_map": {"AutoConfig": "code.Config"}}, "setting 'auto_map' is refused"),
        ({"attn_implementation": "somebody/kernel"}, "setting 'attn_implementation' is refused"),
        ({"inner": {"quantization_config": {}}}, "setting 'quantization_config' is refused"),
        ({"use_timm_backbone": True}, "setting 'use_timm_backbone' is refused"),
        ({"depths": [1, 300]}, "setting 'depths' holds more than 256 layers"),
        ({"embedding_size": 10**12}, "setting 'embedding_size' holds a number beyond 1000000"),
        ({"hidden_sizes": [8, float("nan")]}, "setting 'hidden_sizes' holds a number beyond 1000000"),
        ({"hidden_act": "nothing"}, "expected .* transformers .*, got .*nothing"),
        ({"depths": "many"}, "expected a configuration of resnet that transformers reads, got"),
        ({"__class__": 3}, ""),
        ({"model_type": "bert"}, "found ResNetForImageClassification"),
        ({"model_type": "nothing"}, "expected a configuration of nothing that transformers reads"),
        ({"model_type": "timm_wrapper"}, "a model of timm; import its weights as timm:NAME=FILE"),
        ({"model_type": None}, "expected model_type and one of architectures"),
        ({"architectures": ["ResNetModel"]}, "ResNetForImageClassification; found ResNetModel"),
        ({"architectures": None}, "expected model_type and one of architectures"),
        ({"problem_type": "multi_label_classification"}, "expected problem_type single_label_classification"),
        ({"id2label": {"0": "a", "2": "b"}}, "expected id2label with the names of classes 0, 1, 2"),
        ({"id2label": {"0": "a"}}, "need at least 2 classes"),
        ({"id2label": {"0": "a", "1": "b"}}, "shape"),
    ],
)
def test_a_configuration_that_is_not_a_plain_classifiers_is_refused(
    tmp_path: Path, changes: dict[str, Any], words: str
) -> None:
    write_hf(tmp_path)
    write_hf_input(tmp_path)
    _edit(tmp_path, **changes)
    if not words:  # private entries are left out
        _import(tmp_path)
        return
    with pytest.raises(InputError, match=words) as caught:
        _import(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_model_file_is_held_to_the_same_settings(tmp_path: Path) -> None:
    write_hf(tmp_path)
    write_hf_input(tmp_path)
    save_model(_import(tmp_path), tmp_path / "model.pt")
    content = torch.load(tmp_path / "model.pt", weights_only=True)
    for settings in ('{"auto_map": {}}', '{"_attn_implementation": "a/b"}', '{"depths": [999]}', "[]", "{"):
        content["classifier"]["config"]["settings"] = settings
        torch.save(content, tmp_path / "hostile.pt")
        with pytest.raises(InputError, match="setting"):
            load_model(tmp_path / "hostile.pt")


def test_settings_of_a_model_file_that_would_change_its_answer_do_not(tmp_path: Path) -> None:
    network = write_hf(tmp_path)
    write_hf_input(tmp_path)
    save_model(_import(tmp_path), tmp_path / "model.pt")
    content = torch.load(tmp_path / "model.pt", weights_only=True)
    config = content["classifier"]["config"]
    config["settings"] = json.dumps(json.loads(config["settings"]) | {"return_dict": False, "dtype": "float16"})
    torch.save(content, tmp_path / "other.pt")
    x = torch.randn(2, 3, 32, 32)
    torch.testing.assert_close(load_model(tmp_path / "other.pt").classifier(x), network(pixel_values=x).logits)
    for settings in ({"num_labels": 3}, {"num_channels": 0}, {"num_channels": "3"}, {"model_type": "vit"}):
        config["settings"] = json.dumps(json.loads(config["settings"]) | settings)
        torch.save(content, tmp_path / "other.pt")
        with pytest.raises(InputError) as caught:
            load_model(tmp_path / "other.pt")
        assert "\n" not in str(caught.value)


def test_names_of_classes_are_one_line_each(tmp_path: Path) -> None:
    write_hf(tmp_path, id2label=dict(enumerate([*NAMES[:4], "a\nb"])))
    write_hf_input(tmp_path)
    with pytest.raises(InputError, match=r"class_names.*expected printable text on one line"):
        save_model(_import(tmp_path), tmp_path / "model.pt")


def test_a_folder_without_its_files_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"expected a folder .* a model of Hugging Face's hub is hf=hub:OWNER/NAME"):
        _import(tmp_path / "microsoft" / "resnet-50")
    with pytest.raises(InputError, match=r"config\.json"):
        _import(tmp_path)
    write_hf(tmp_path)
    (tmp_path / "model.safetensors").rename(tmp_path / "model-00001-of-00002.safetensors")
    with pytest.raises(InputError, match=r"expected model\.safetensors or pytorch_model\.bin"):
        _import(tmp_path)
    (tmp_path / "model.safetensors.index.json").write_text("{}")
    with pytest.raises(InputError, match="expected weights in one file, found several"):
        _import(tmp_path)


# --- ids of the hub


@pytest.mark.parametrize("is_offline", [False, True])
def test_an_id_of_the_hub_without_a_network_ends_in_one_line(
    tmp_path: Path, is_offline: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    constants = pytest.importorskip("huggingface_hub.constants", reason="huggingface_hub is not installed")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", is_offline)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(
        InputError, match=r"expected a/b from Hugging Face's hub, got .*give the path of a folder"
    ) as caught:
        _import(Path("hub:a/b"))
    assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match="expected hub:OWNER/NAME or hub:OWNER/NAME@REVISION, got hub:b"):
        _import(Path("hub:b"))


def test_a_model_of_the_hub_is_read_as_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub = pytest.importorskip("huggingface_hub", reason="huggingface_hub is not installed")
    folder, asked = tmp_path / "0123abc", []
    network = write_hf(folder)
    write_hf_input(folder)
    (folder / "model.safetensors").unlink()
    write_torch(folder / "pytorch_model.bin", network.state_dict())

    def fetched(name: str, *, revision: str | None, allow_patterns: list[str]) -> str:
        asked.append((name, revision, allow_patterns[-1]))
        return str(folder)

    monkeypatch.setattr(hub, "snapshot_download", fetched)
    model = _import(Path("hub:a/b@v1"))
    assert asked == [("a/b", "v1", "model.safetensors"), ("a/b", "v1", "pytorch_model.bin")]
    assert "weights: a/b of Hugging Face's hub, commit 0123abc" in model.choices
    assert model.sources[1].startswith("hf: 0123abc/ with pytorch_model.bin, sha256 ")
