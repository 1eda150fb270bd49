"""The parity gate passes in FP16 for every family, with weights that make labels mean something."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from purecert.engine.images.datasets import load_dataset
from purecert.export.fusing.fuse import fuse
from purecert.export.pipeline import ExportSpec, export_plan
from purecert.train.models.checkpoints import Model
from support.small_models import CLASSIFIERS, every_purifier, trained_model

pytestmark = pytest.mark.slow

_SIGMA = 0.12


def _accuracy(model: Model) -> float:
    """Return the share of noisy test digits that eager FP32 classifies right, one draw each."""
    data = load_dataset("digits:test")
    generator = np.random.default_rng(2)
    noise = generator.normal(0, 255 * _SIGMA, data.images.shape).round()
    extra = [
        torch.from_numpy(generator.normal(0, 256, (len(data), k, *model.input_shape)).round()).float()
        for k in model.purifier.noise_inputs(_SIGMA)
    ]
    with torch.inference_mode():
        labels = fuse(model, _SIGMA)(torch.from_numpy(data.images + noise).float(), *extra)[0]
    return float((labels.numpy() == data.labels).mean())


def _families() -> list[Any]:
    """Return every purifier before one classifier, a few in CI, and every other classifier alone, all nightly."""
    purifiers = [pytest.param(*name.values, "ResNet A", marks=name.marks) for name in every_purifier()]
    others = [name for name in CLASSIFIERS if name != "ResNet A"]
    alone = [pytest.param("identity", name, marks=pytest.mark.nightly) for name in others]
    return [*purifiers, *alone]


@pytest.mark.parametrize(("purifier", "classifier"), _families())
def test_a_family_passes_the_gate_in_half(purifier: str, classifier: str, tmp_path: Path) -> None:
    model = trained_model(purifier, classifier, _SIGMA)
    assert _accuracy(model) > 0.5  # chance is 0.1
    spec = ExportSpec(sigmas=(_SIGMA,), precision="fp16", parity_draws=2000)
    lines: list[str] = []
    plan = export_plan(model, spec, load_dataset("digits:test[:100]"), tmp_path / "plan", lines.append)
    witness = next(parity for parity in plan.record.parity if parity.backend == "torch")
    assert witness.executed_precision == "fp16"
    # The gate has let the plan pass with the room that 2,000 draws need; labels agree as in a full one.
    assert witness.agreement >= 0.995
    assert any(line.startswith("in FP32: ") and "the vote" in line for line in lines)
    assert plan.record.fp32_islands
