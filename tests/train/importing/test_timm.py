"""Weights of timm's models become classifiers that give timm's own logits."""

import json
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from purecert.engine.errors import InputError
from purecert.engine.plans.plan import GraphInput
from purecert.export.fusing.fold import fold
from purecert.export.fusing.fuse import FusedModel, fuse
from purecert.export.fusing.precision import to_half
from purecert.export.graph.program import export_program, onnx_bytes
from purecert.export.graph.rules import check_graph
from purecert.train.importing.assemble import ImportSpec, Source, import_model
from purecert.train.models.checkpoints import Model, load_model, save_model
from support.checkpoint_files import parallel, write_safetensors, write_torch

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # torchvision warns where it has no image extension, which nothing here needs
    timm = pytest.importorskip(
        "timm", reason="timm cannot be imported: it needs torchvision, which has no CPU build", exc_type=ImportError
    )

_CLASSES = 7
# A convolutional network, a transformer, one whose last layer is not the last by name, and two with buffers that are
# no part of their state.
_NAMES = ["resnet18", "test_vit", "test_convnext", "test_vit_relpos", "test_maxvit"]


def _network(name: str, **options: Any) -> Any:
    """Return timm's own model with weights at which all matter."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = timm.create_model(name, pretrained=False, num_classes=_CLASSES, **options)
        network.eval().requires_grad_(False)
        for parameter in network.parameters():
            if parameter.dim() > 1:
                torch.nn.init.xavier_uniform_(parameter.flatten(1))
    return network


def _import(name: str, path: Path, **choices: Any) -> Model:
    source = Source(kind=f"timm:{name}", path=path)
    choices = {"image_size": 32} | choices
    return import_model(ImportSpec(purifier=Source(kind="identity", path=None), classifier=source, **choices))


def _size(name: str) -> int:
    return int(timm.get_pretrained_cfg(name).input_size[-1])


def _assert_same_logits(model: Model, network: Any, name: str) -> None:
    x = torch.randn(3, 3, _size(name), _size(name))
    expected: Tensor = network(x)
    assert expected.std() > 1e-3
    torch.testing.assert_close(model.classifier(x), expected, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
@pytest.mark.parametrize("name", _NAMES)
def test_a_file_gives_timms_own_logits(tmp_path: Path, name: str, suffix: str) -> None:
    network = _network(name)
    write = write_safetensors if suffix == ".safetensors" else write_torch
    model = _import(name, write(tmp_path / f"a{suffix}", network.state_dict()))
    assert model.classes == _CLASSES
    _assert_same_logits(model, network, name)


def test_weights_inside_a_trainers_file_are_read(tmp_path: Path) -> None:
    network = _network("resnet18")
    model = _import("resnet18", write_torch(tmp_path / "a.pth.tar", parallel(network.state_dict())))
    _assert_same_logits(model, network, "resnet18")


@pytest.mark.parametrize("name", _NAMES)
def test_an_imported_model_survives_its_file(tmp_path: Path, name: str) -> None:
    network = _network(name)
    save_model(_import(name, write_torch(tmp_path / "a.pth", network.state_dict())), tmp_path / "model.pt")
    _assert_same_logits(load_model(tmp_path / "model.pt"), network, name)


@pytest.mark.parametrize("name", ["test_vit", "test_vit.r160_in1k", "resnet18"])
def test_the_input_is_the_one_that_timm_records(tmp_path: Path, name: str) -> None:
    model = _import(name, write_torch(tmp_path / "a.pth", _network(name).state_dict()))
    recorded, preprocessing = timm.get_pretrained_cfg(name), model.preprocessing
    image = torch.full((1, 3, 32, 32), 0.25)
    mean, std = torch.tensor(recorded.mean)[:, None, None], torch.tensor(recorded.std)[:, None, None]
    expected = ((0.625 - mean) / std).expand(1, *recorded.input_size)
    torch.testing.assert_close(preprocessing(image), expected, atol=1e-5, rtol=0)


def test_a_network_of_one_channel_is_read_and_its_input_must_be_given(tmp_path: Path) -> None:
    network = _network("resnet18", in_chans=1)
    path = write_torch(tmp_path / "a.pth", network.state_dict())
    with pytest.raises(InputError, match="expected --mean and --std"):
        _import("resnet18", path)
    save_model(_import("resnet18", path, mean=(0.3,), std=(0.4,)), tmp_path / "model.pt")
    model, x = load_model(tmp_path / "model.pt"), torch.randn(2, 1, 32, 32)
    assert model.input_shape == (1, 32, 32)
    torch.testing.assert_close(model.classifier(x), network(x), atol=1e-6, rtol=1e-6)


def test_the_weights_whose_input_is_taken_are_named(tmp_path: Path) -> None:
    model = _import("resnet18", write_torch(tmp_path / "a.pth", _network("resnet18").state_dict()))
    tag = timm.get_pretrained_cfg("resnet18").tag
    assert any(f"as timm records for resnet18.{tag}, its default weights" in line for line in model.choices)


# --- folders of the hub


def _folder(folder: Path, name: str = "resnet18", **options: Any) -> Any:
    """Write a model as timm itself does for the hub."""
    network = _network(name, **options)
    names = [f"class {place}" for place in range(_CLASSES)]
    data = {"mean": (0.4,) * options.get("in_chans", 3), "std": (0.3,) * options.get("in_chans", 3)}
    data |= {"input_size": (options.get("in_chans", 3), 48, 48), "crop_pct": 0.9, "interpolation": "bicubic"}
    timm.models.save_for_hf(network, folder, {"label_names": names, "pretrained_cfg": data}, safe_serialization=True)
    return network


def _import_folder(path: Path) -> Model:
    source = Source(kind="timm", path=path)
    return import_model(ImportSpec(purifier=Source(kind="identity", path=None), classifier=source, image_size=32))


@pytest.mark.parametrize("channels", [3, 1])
def test_a_folder_that_timm_wrote_names_network_input_and_classes(tmp_path: Path, channels: int) -> None:
    network, x = _folder(tmp_path, in_chans=channels), torch.randn(2, channels, 48, 48)
    model = _import_folder(tmp_path)
    torch.testing.assert_close(model.classifier(x), network(x), atol=1e-6, rtol=1e-6)
    assert model.class_names == tuple(f"class {place}" for place in range(_CLASSES))
    image = torch.full((1, channels, 32, 32), 0.25)
    expected = torch.full((1, channels, 48, 48), (0.625 - 0.4) / 0.3)
    torch.testing.assert_close(model.preprocessing(image), expected, atol=1e-5, rtol=0)
    assert any(line.startswith("resize: bicubic") for line in model.choices)
    assert "crop: none, the whole image is resized; timm records crop_pct 0.9, center" in model.choices


def test_a_model_of_the_hub_is_read_as_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub = pytest.importorskip("huggingface_hub", reason="huggingface_hub is not installed")
    network = _folder(tmp_path / "0123abc")
    monkeypatch.setattr(hub, "snapshot_download", lambda *_, **__: str(tmp_path / "0123abc"))
    model, x = _import_folder(Path("hub:timm/resnet18.a1_in1k")), torch.randn(2, 3, 48, 48)
    torch.testing.assert_close(model.classifier(x), network(x), atol=1e-6, rtol=1e-6)
    assert "weights: timm/resnet18.a1_in1k of Hugging Face's hub, commit 0123abc" in model.choices


def test_a_folder_may_name_a_pooling_and_a_size_that_are_not_the_listed_ones(tmp_path: Path) -> None:
    network = _folder(tmp_path, "test_vit", global_pool="avg", img_size=48)
    save_model(_import_folder(tmp_path), tmp_path / "model.pt")
    model, x = load_model(tmp_path / "model.pt"), torch.randn(2, 3, 48, 48)
    torch.testing.assert_close(model.classifier(x), network(x), atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"model_args": {"pretrained": True}}, "found model_args pretrained"),
        ({"model_args": {"act_layer": "gelu"}}, "found model_args act_layer; build it in Python"),
        ({"model_args": {"\x1b[2J" * 99: 1}}, r"model_args \\x1b\[2J"),
        ({"model_args": "x"}, "expected an object under model_args, found x"),
        ({"model_args": {"global_pool": 3}}, "expected a word as global_pool, found 3"),
        ({"model_args": {"global_pool": "nowhere"}}, "timm cannot build resnet18 of these sizes: Invalid pool type"),
        ({"model_args": {"img_size": [48, 47]}}, "expected img_size, at most 4096 pixels square"),
        ({"model_args": {"img_size": 48}}, "timm cannot build resnet18 of these sizes: .*img_size"),
        ({"model_args": {"num_classes": 5}, "num_classes": None}, "of num_classes 5, found those of 7"),
        ({"model_args": {"in_chans": 1}}, "expected weights of in_chans 1, found those of 3"),
        ({"num_classes": 5}, "expected weights of num_classes 5, found those of 7"),
        ({"architecture": None}, "expected architecture, a name that timm lists, found None"),
        ({"architecture": "hf-hub:a/b"}, "expected a plain timm name"),
        ({"architecture": "\x1b[2J"}, "expected a plain timm name|printable"),
        ({"pretrained_cfg": {}}, "expected interpolation of the input|expected mean of each channel"),
        ({"label_names": ["a\nb"] * 7}, "expected label_names of printable text, found a.*nb"),
        ({"label_offset": 1}, "expected no label_offset, whose classes timm leaves out, found 1"),
        ({"mean": [0.5, 0.5]}, "expected input_size of 2 channels, as mean has"),
        ({"mean": [0.5] * 1000}, "expected mean of each channel, found list"),
        ({"mean": ["a", 0.5, 0.5]}, "expected mean of each channel"),
        ({"std": [0.5, 0.5, 0.0]}, "std > 0"),
        ({"input_size": [3, 32, 48]}, r"height and as much width, of at most 4096 pixels, found \[3, 32, 48\]"),
        ({"input_size": [3, None, None]}, "found another or none"),
        ({"interpolation": "lanczos"}, "lanczos"),
        ({"interpolation": "\x1b[2J"}, "records? .*x1b"),
        ({"crop_pct": float("nan")}, r"expected crop_pct in \(0, 1\], found nan"),
    ],
)
def test_a_folder_of_another_network_or_input_is_refused(tmp_path: Path, change: dict[str, Any], words: str) -> None:
    _folder(tmp_path)
    content = json.loads((tmp_path / "config.json").read_text())
    is_outer = set(change) & {"model_args", "architecture", "pretrained_cfg", "num_classes", "label_names"}
    (content if is_outer else content["pretrained_cfg"]).update(change)
    (tmp_path / "config.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match=words) as caught:
        _import_folder(tmp_path)
    assert str(caught.value).isprintable()


def test_names_of_some_classes_are_left_out_which_is_said(tmp_path: Path) -> None:
    _folder(tmp_path)
    content = json.loads((tmp_path / "config.json").read_text())
    del content["label_names"]
    content["pretrained_cfg"]["label_names"] = ["a", "b"]
    (tmp_path / "config.json").write_text(json.dumps(content))
    model = _import_folder(tmp_path)
    assert model.class_names == ()
    assert "class names: none, since config.json names 2 of 7 classes" in model.choices


# --- what does not fit


@pytest.mark.parametrize("name", ["resnet18", "test_vit"])
def test_a_weight_that_does_not_fit_is_named(tmp_path: Path, name: str) -> None:
    state = _network(name).state_dict()
    names = list(state)
    for key in (names[0], names[len(names) // 2]):  # the last one decides the number of classes
        rest = {other: value for other, value in state.items() if other != key}
        with pytest.raises(InputError, match=rf"weight '{key}' is missing"):
            _import(name, write_torch(tmp_path / "a.pth", rest))
        with pytest.raises(InputError, match=rf"weight '{key}': expected shape"):
            _import(name, write_torch(tmp_path / "a.pth", state | {key: torch.cat([state[key]] * 2)}))
        with pytest.raises(InputError, match=rf"unknown weight '{key}_twin'"):
            _import(name, write_torch(tmp_path / "a.pth", state | {f"{key}_twin": state[key]}))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("resnet_of_nobody", "has no model 'resnet_of_nobody'; timm.list_models"),
        ("resnet18.nobody", "nobody"),
        ("hf-hub:somebody/resnet18", "expected a plain timm name such as .*, got 'hf-hub:somebody/resnet18'"),
        ("local-dir:.", "expected a plain timm name"),
        ("../resnet18", "expected a plain timm name"),
        ("test_convnext", r"weight 'head\.fc\.weight' is missing; is the file of another kind"),
        ("", "expected timm:NAME=FILE, timm=FOLDER with a folder that is there, or timm=hub"),
    ],
)
def test_a_name_that_is_none_of_timms_is_refused_in_one_line(tmp_path: Path, name: str, words: str) -> None:
    path = write_torch(tmp_path / "a.pth", _network("resnet18").state_dict())
    with pytest.raises(InputError, match=words) as caught:
        _import(name, path)
    assert "\n" not in str(caught.value)


def test_a_network_of_one_class_is_refused(tmp_path: Path) -> None:
    path = write_torch(tmp_path / "a.pth", {"fc.weight": torch.zeros(1, 512)})
    with pytest.raises(InputError, match="need at least 2 classes"):
        _import("resnet18", path)


# A stem of convolution, norm and activation in one module; weights standardised at each call; plain norms in blocks.
@pytest.mark.parametrize("name", ["densenet121", "test_resnet", "test_byobnet", "test_vit"])
def test_folding_changes_nothing_that_timm_computes(tmp_path: Path, name: str) -> None:
    path = write_torch(tmp_path / "a.pth", _network(name).state_dict())
    model = _import(name, path)
    pixels = torch.randint(0, 256, (2, 3, 32, 32), generator=torch.Generator().manual_seed(0)).float()
    with torch.inference_mode():
        expected, found = fuse(model, 0.25)(pixels)[1], fold(model, 0.25)(pixels)[1]
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5 * float(expected.abs().max()))


# --- exports: norms with activations in them, convolutions in channels-last memory, and a transformer


@pytest.mark.parametrize(
    ("name", "options", "norm"),
    [
        ("test_efficientnet", {}, "BatchNormAct2d"),
        ("test_convnext", {"depths": (1, 1, 1, 1)}, "LayerNorm2d"),
        ("test_vit", {"depth": 2}, "LayerNorm"),
    ],
)
def test_a_network_gives_its_logits_in_half(name: str, options: dict[str, Any], norm: str) -> None:
    size, fused = _size(name), FusedModel(_network(name, **options)).eval()
    half, islands = to_half(fused)
    assert {path for path, part in fused.named_modules() if type(part).__name__ == norm} <= islands.keys()
    inputs = (GraphInput(name="pixels", shape=(3, size, size), dtype="float16"),)
    program = export_program(half, inputs)
    if name == "test_convnext":  # its pooling is what the graph's rules refused
        check_graph(onnx_bytes(program, inputs), "fp16", islands)
    pixels = torch.randint(0, 256, (4, 3, size, size), generator=torch.Generator().manual_seed(0)).float()
    with torch.inference_mode():
        exact, found = fused(pixels)[1], program.module()(pixels.half())[1]
    assert float((exact - found).abs().max()) < 0.02 * float(exact.abs().max())
