"""Weights of torchvision's models become classifiers that give torchvision's own logits, and plans that certify."""

import hashlib
import sys
import types
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import purecert
from purecert.engine.errors import BackendError, InputError
from purecert.engine.images.datasets import load_dataset
from purecert.export.pipeline import ExportSpec, export_plan
from purecert.train.importing.assemble import ImportSpec, Source, import_model
from purecert.train.models.checkpoints import Model, load_model, save_model
from support.checkpoint_files import parallel, write_torch

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # torchvision warns where it has no image extension, which nothing here needs
    models = pytest.importorskip(
        "torchvision.models",
        reason="torchvision cannot be imported: there is no build of it for PyTorch's on the registry",
        exc_type=(ImportError, RuntimeError),
    )

_CLASSES = 7


def _network(name: str = "resnet18", classes: int = _CLASSES) -> Any:
    """Return torchvision's own model with weights at which all matter."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = models.get_model(name, weights=None, num_classes=classes).eval().requires_grad_(False)
        for parameter in network.parameters():
            if parameter.dim() > 1:
                torch.nn.init.xavier_uniform_(parameter.flatten(1))
    return network


def _import(path: Path, name: str = "resnet18", **choices: Any) -> Model:
    source = Source(kind=f"torchvision:{name}", path=path)
    choices = {"image_size": 32} | choices
    return import_model(ImportSpec(purifier=Source(kind="identity", path=None), classifier=source, **choices))


# A linear head, a convolution as head, channels that are shuffled, and buffers that index a table of biases.
@pytest.mark.parametrize("name", ["resnet18", "squeezenet1_1", "shufflenet_v2_x0_5", "swin_t"])
def test_a_file_gives_torchvisions_own_logits(tmp_path: Path, name: str) -> None:
    network = _network(name)
    model = _import(write_torch(tmp_path / "a.pth", parallel(network.state_dict())), name)
    save_model(model, tmp_path / "model.pt")
    x = torch.randn(2, 3, 64, 64)
    expected = network(x)
    assert model.classes == _CLASSES
    assert expected.std() > 1e-4
    for found in (model, load_model(tmp_path / "model.pt")):
        torch.testing.assert_close(found.classifier(x), expected, atol=1e-6, rtol=1e-6)


def test_grey_images_and_many_classes_are_read(tmp_path: Path) -> None:
    network = _network(classes=1000)
    network.conv1 = nn.Conv2d(1, 64, 7, 2, 3, bias=False)
    path = write_torch(tmp_path / "a.pth", network.state_dict())
    with pytest.raises(InputError, match="expected --mean and --std"):
        _import(path)
    model = _import(path, mean=(0.3,), std=(0.4,))
    x = torch.randn(2, 1, 32, 32)
    assert (model.input_shape, model.classes) == ((1, 32, 32), 1000)
    assert "classifier's channels: 1, as its first convolution has them" in model.choices
    torch.testing.assert_close(model.classifier(x), network(x), atol=1e-5, rtol=1e-5)


def test_the_input_is_the_recorded_one_and_the_weights_are_known_by_their_digest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_torch(tmp_path / "a.pth", _network(classes=1000).state_dict())
    model = _import(path)
    preprocessing: Any = model.preprocessing
    assert (preprocessing.config.size, preprocessing.config.crop) == (256, (16, 224))
    assert preprocessing.config.mean == (0.485, 0.456, 0.406)
    assert model.class_names == ()
    assert any("the file is none of its own" in line for line in model.choices)
    kinds = models.get_model_weights("resnet18")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()[:8]
    own = types.SimpleNamespace(
        name="OWN", url=f"x/resnet18-{digest}.pth", meta=kinds.DEFAULT.meta, transforms=kinds.DEFAULT.transforms
    )
    recorded = types.SimpleNamespace(DEFAULT=None, __iter__=None)
    monkeypatch.setattr(models, "get_model_weights", lambda name: type("Own", (list,), {"DEFAULT": recorded})([own]))
    model = _import(path)
    assert model.class_names[:2] == ("tench", "goldfish")
    assert any("as torchvision records for OWN, which the file is by its digest" in line for line in model.choices)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("resnet_of_nobody", "torchvision has no classifier 'resnet_of_nobody'"),
        ("fcn_resnet50", "torchvision has no classifier 'fcn_resnet50'"),
        ("../resnet18", "expected a plain torchvision name"),
        ("mnasnet0_5", "mnasnet0_5 has another shape for weights of an older version"),
        ("googlenet", "googlenet transforms its input or not, which no weight shows"),
        ("vgg11", r"weight 'classifier\.6\.weight' is missing; is the file of another kind"),
        ("resnet34", "weight .* is missing"),
        ("", "expected torchvision:NAME=FILE"),
    ],
)
def test_what_is_none_of_torchvisions_is_refused_in_one_line(tmp_path: Path, name: str, words: str) -> None:
    path = write_torch(tmp_path / "a.pth", _network().state_dict())
    with pytest.raises(InputError, match=words) as caught:
        _import(path, name)
    assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_resnet18_becomes_a_plan_that_passes_the_gate_and_certifies(tmp_path: Path) -> None:
    model = _import(write_torch(tmp_path / "a.pth", _network().state_dict()), classifier_size=16, image_size=16)
    blocks = np.random.default_rng(0).integers(0, 256, (20, 3, 4, 4)).astype(np.uint8)
    np.savez(tmp_path / "images.npz", images=blocks.repeat(4, 2).repeat(4, 3), labels=np.arange(20) % _CLASSES)
    data = load_dataset(f"npz:{tmp_path / 'images.npz'}")
    plan = export_plan(model, ExportSpec(sigmas=(0.1,), precision="fp32", parity_draws=100), data, tmp_path / "plan")
    assert {measured.backend for measured in plan.record.parity} >= {"torch", "onnxruntime"}
    run = purecert.certify(plan, f"npz:{tmp_path / 'images.npz'}[:1]", sigma=0.1, n=200, n0=20, threads=1)
    assert len(run.outcomes) == 1


def test_a_torchvision_of_another_pytorch_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_torch(tmp_path / "a.pth", _network().state_dict())
    monkeypatch.setitem(sys.modules, "torchvision.models", None)
    monkeypatch.delattr("torchvision.models")
    with pytest.raises(BackendError, match="torchvision is installed, but cannot be imported beside this PyTorch"):
        _import(path)
