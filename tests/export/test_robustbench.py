"""A classifier of RobustBench's own ``load_model``, of images in [0, 1], becomes a plan that votes as it does."""

import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
import torch

import purecert
from purecert.engine.plans.plan import read_plan
from support.commands import engine

_NAME = "Wong2020Fast"  # a PreActResNet-18 that normalises its input itself


def _load_model(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return the package's function, or skip. What it imports for attacks and files of corrupted images stays empty."""
    reason = "robustbench is not installed; CI installs it for this test"
    pytest.importorskip("torchvision", reason=reason, exc_type=(ImportError, RuntimeError))
    for name in ("autoattack", "autoattack.state", "pkg_resources"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    for name, attribute in (("autoattack", "AutoAttack"), ("autoattack.state", "EvaluationState")):
        monkeypatch.setattr(sys.modules[name], attribute, object, raising=False)
    return pytest.importorskip("robustbench.utils", reason=reason, exc_type=ImportError)


@pytest.mark.slow
@pytest.mark.nightly
def test_a_model_of_the_zoo_certifies_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    library = _load_model(monkeypatch)
    kinds = library.all_models[library.BenchmarkDataset.cifar_10][library.ThreatModel.Linf]
    torch.manual_seed(0)
    folder = tmp_path / "models" / "cifar10" / "Linf"
    folder.mkdir(parents=True)
    torch.save(
        kinds[_NAME]["model"]().state_dict(), folder / f"{_NAME}.pt"
    )  # where the package looks before it fetches

    model = library.load_model(_NAME, model_dir=tmp_path / "models", dataset="cifar10", threat_model="Linf")
    blocks = np.random.default_rng(0).integers(0, 256, (20, 3, 4, 4)).astype(np.uint8)
    images = blocks.repeat(8, 2).repeat(8, 3)
    data = tmp_path / "images.npz"
    np.savez(data, images=images, labels=np.arange(20) % 10)
    plan = purecert.export_module(model, sigmas=[0.25], data=f"npz:{data}", out=tmp_path / "plan", parity_draws=40)

    graph = ort.InferenceSession(read_plan(plan.directory).read_graph(0.25), providers=["CPUExecutionProvider"])
    (labels,) = graph.run(["label"], {"pixels": images.astype(np.float32)})
    with torch.no_grad():
        expected = model(torch.from_numpy(images).float() / 255).argmax(dim=1).numpy()
    assert len(set(expected.tolist())) > 1
    assert np.array_equal(labels, expected)
    numbers = ["--sigma", "0.25", "--n", "50", "--n0", "10", "--threads", "1", "--probe-rows", "16", "--batch", "8"]
    engine(
        "certify", "--plan", plan.directory, "--data", f"npz:{data}[:1]", "--out", tmp_path / "run", *numbers
    ).expect(0)
    assert len(purecert.read_run(tmp_path / "run").outcomes) == 1
