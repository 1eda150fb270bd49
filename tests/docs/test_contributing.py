"""The worked examples of CONTRIBUTING.md are complete: each runs as it stands on the page."""

import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from purecert.engine.backends import registry
from purecert.engine.procedures.spec import SmoothingSpec
from purecert.engine.records.lines import Certificate
from purecert.export.fusing.fold import fold
from purecert.export.fusing.fuse import fuse
from purecert.train.fitting.draws import Batch, Draws
from purecert.train.fitting.progress import Silent, StepReport
from purecert.train.fitting.session import Session
from purecert.train.models import kinds
from purecert.train.models.checkpoints import Model, demo_model_path, load_model, save_model
from purecert.train.networks.resnet import ResNet, ResNetConfig
from purecert.train.objectives.sigmas import DiscreteSigmas
from purecert.train.purifiers.edm import EdmPurifier
from purecert.train.purifiers.karras import KarrasConfig
from support.plans import linear_plan
from support.runs import certify_images
from support.small_models import preprocessing, small_model, song_unet

_PAGE = (Path(__file__).parents[2] / "CONTRIBUTING.md").read_text()
_EXAMPLES = re.findall(r"^```python\n(.*?)^```$", _PAGE, flags=re.DOTALL | re.MULTILINE)


class _Page:
    """Loads parts of the page as modules, from files, under names that are gone again after the test."""

    def __init__(self, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._directory, self._monkeypatch = directory, monkeypatch

    def example(self, defines: str, module: str) -> ModuleType:
        """Return the example that holds the line ``defines`` as ``module``."""
        (source,) = (example for example in _EXAMPLES if defines in example)
        return self._load(source, module)

    def row(self, name: str, before: str) -> object:
        """Return what the page puts into a table under ``name``; ``before`` is the code of that table's file."""
        (row,) = re.findall(rf'`"{name}": ([^`]+)`', " ".join(_PAGE.split()))
        found: object = self._load(f"{before}\n\nROW = {row}\n", f"row_{name}").ROW
        return found

    def _load(self, source: str, module: str) -> ModuleType:
        path = self._directory / f"{module}.py"
        path.write_text(source)
        spec = importlib.util.spec_from_file_location(module, path)
        assert spec is not None
        assert spec.loader is not None
        loaded = importlib.util.module_from_spec(spec)
        self._monkeypatch.setitem(sys.modules, module, loaded)  # dataclasses look their module up
        spec.loader.exec_module(loaded)
        return loaded


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> _Page:
    return _Page(tmp_path, monkeypatch)


class _Kept(Silent):
    def __init__(self) -> None:
        self.lines: list[StepReport] = []

    def report(self, line: StepReport) -> None:
        self.lines.append(line)


def test_every_example_has_less_than_40_lines_of_code() -> None:
    assert len(_EXAMPLES) == 5
    assert max(sum(bool(line.strip()) for line in example.splitlines()) for example in _EXAMPLES) < 40


def test_the_backend_certifies_as_onnx_runtime_does(
    page: _Page, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page.example("class ReferenceGraph", "purecert.engine.backends.reference.cpu")
    (opener,) = (example for example in _EXAMPLES if "def _reference" in example)
    row = page.row("onnx-reference", f"from purecert.engine.backends.registry import BackendKind, Opener\n\n{opener}")
    monkeypatch.setitem(registry.BACKENDS, "onnx-reference", row)
    plan = linear_plan(tmp_path / "plan", np.array([3, -1, 2, 1], np.float32), 400.0, (1, 2, 2))
    images = np.random.default_rng(0).integers(0, 256, (4, 1, 2, 2), np.uint8)
    spec = SmoothingSpec(mode="certify", sigma=0.5, n_select=20, n_estimate=300)
    found, expected = (
        certify_images(plan, images, spec, seed=1, batch=64, backend=backend)
        for backend in ("onnx-reference", "onnxruntime")
    )
    assert any(isinstance(end.outcome, Certificate) for end in found)
    assert [end.outcome for end in found] == [end.outcome for end in expected]
    for end, other in zip(found, expected, strict=True):
        for phase in other.counts:
            np.testing.assert_array_equal(end.counts[phase], other.counts[phase])


def test_the_purifier_is_its_formula_alone_fused_folded_and_in_a_model_file(
    page: _Page, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    purifiers = page.example("class HalfwayPurifier", "halfway")
    row = page.row("halfway", "from halfway import *\nfrom purecert.train.models.kinds import *")
    monkeypatch.setitem(kinds.PURIFIERS, "halfway", row)
    network, config, sigma = song_unet(), KarrasConfig(), 0.5
    purifier = purifiers.HalfwayPurifier(config, network).eval()
    whole = EdmPurifier(config, network).eval()
    noisy = torch.randn(5, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    model = Model(
        purifier=purifier,
        classifier=small_model("identity").classifier,
        preprocessing=preprocessing("ResNet A"),
        input_shape=(1, 8, 8),
        classes=10,
    )
    save_model(model, tmp_path / "model.pt")
    again, pixels = load_model(tmp_path / "model.pt"), (noisy * 100 + 128).round()
    with torch.inference_mode():
        torch.testing.assert_close(purifier(noisy, sigma), (noisy + whole(noisy, sigma)) / 2)
        logits = fuse(model, sigma)(pixels)[1]
        assert torch.equal(fuse(again, sigma)(pixels)[1], logits)
        close = 1e-5 * float(logits.abs().max())
        torch.testing.assert_close(fold(model, sigma)(pixels)[1], logits, rtol=0, atol=close)


def test_the_loss_is_its_equation_and_trains_the_purifier_alone(page: _Page) -> None:
    losses = page.example("class StabilityObjective", "stability")
    demo = load_model(demo_model_path())
    purifier = EdmPurifier(KarrasConfig(), song_unet().requires_grad_(True)).eval()
    parts = {"purifier": purifier, "preprocessing": demo.preprocessing, "sigmas": DiscreteSigmas(values=(0.5,))}
    classifier = demo.classifier.requires_grad_(False)
    images = torch.rand(6, 1, 8, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1
    loss = losses.StabilityObjective(classifier=classifier, **parts)(_batch(images))
    again = _batch(images)
    again.draws.category(torch.ones(1))  # the sigmas are drawn first
    with torch.no_grad():
        purified = purifier(images + again.draws.normal(1, 8, 8), 0.5)
        shares = classifier(demo.preprocessing(purified)).double().log_softmax(dim=1)
        wanted = classifier(demo.preprocessing(images)).argmax(dim=1)
    assert loss.item() == pytest.approx(-shares[torch.arange(6), wanted].mean().item(), rel=1e-6)
    loss.backward()
    assert all(parameter.grad is not None for parameter in purifier.parameters())
    assert all(parameter.grad is None for parameter in classifier.parameters())
    with pytest.raises(ValueError, match="the classifier must be frozen"):
        losses.StabilityObjective(classifier=ResNet(ResNetConfig(classes=10, in_channels=1)), **parts)


def _batch(images: torch.Tensor) -> Batch:
    labels = torch.zeros(len(images), dtype=torch.int64)
    return Batch(images=images, labels=labels, step=0, draws=Draws(5, len(images)))


def test_the_recipe_trains_and_gives_the_same_bits_again(page: _Page, tmp_path: Path) -> None:
    recipes = page.example("class NextClassifier", "next_classifier")
    demo = load_model(demo_model_path())
    first, again = (
        recipes.train_next_classifier(recipes.NextClassifier(seed=3, steps=3), demo, Session()) for _ in range(2)
    )
    for left, right in zip(first.classifier.state_dict().values(), again.classifier.state_dict().values(), strict=True):
        assert torch.equal(left, right)
    assert not any(parameter.requires_grad for parameter in first.classifier.parameters())
    assert "seed=3" in first.sources[-1]
    save_model(first, tmp_path / "model.pt")
    labels, _ = fuse(load_model(tmp_path / "model.pt"), 0.5)(torch.zeros(2, 1, 8, 8))
    assert labels.shape == (2,)


@pytest.mark.slow
@pytest.mark.nightly
def test_the_recipe_lowers_its_loss(page: _Page) -> None:
    recipes, kept = page.example("class NextClassifier", "next_classifier"), _Kept()
    session = Session(progress=kept)
    recipes.train_next_classifier(recipes.NextClassifier(steps=400), load_model(demo_model_path()), session)
    assert kept.lines[-1].loss < 0.9 * kept.lines[0].loss
