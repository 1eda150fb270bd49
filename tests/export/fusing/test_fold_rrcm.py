"""rRCM at a fixed sigma: folding changes the last bits alone, no time path is left, its plan passes the gate."""

from dataclasses import replace
from pathlib import Path

import onnx
import pytest
import torch

from purecert.engine.images.datasets import load_dataset
from purecert.export.fusing.fold import fold
from purecert.export.fusing.fold_rrcm import FoldedRrcm
from purecert.export.fusing.fuse import fuse
from purecert.export.pipeline import ExportSpec, export_plan
from purecert.train.networks.conditioned import SigmaClassifier
from purecert.train.networks.rrcm.classifier import RrcmClassifier
from support.rrcm_models import rrcm_model

_SIGMAS = (0.0625, 0.25, 1.0)


def _pixels() -> torch.Tensor:
    return torch.randint(-200, 450, (64, 1, 8, 8), generator=torch.Generator().manual_seed(0)).float()


@pytest.mark.parametrize("normalises", [False, True])
def test_folding_changes_the_last_bits_alone(normalises: bool) -> None:
    model, pixels = rrcm_model(normalises=normalises), _pixels()
    assert isinstance(model.classifier, RrcmClassifier)
    seen = []
    for sigma in _SIGMAS:
        (labels, logits), (expected_labels, expected) = fold(model, sigma)(pixels), fuse(model, sigma)(pixels)
        torch.testing.assert_close(logits, expected, rtol=0, atol=1e-5 * float(expected.abs().max()))
        assert torch.equal(labels, expected_labels)
        # The fused form is the classifier on [-1, 1] images.
        torch.testing.assert_close(expected, model.classifier(pixels / 127.5 - 1, sigma), rtol=1e-4, atol=1e-5)
        seen.append(logits)
    assert not torch.allclose(seen[0], seen[1], atol=1e-3)  # sigma matters


def test_weights_are_shared_and_those_that_no_logit_needs_are_gone() -> None:
    model = rrcm_model()
    assert isinstance(model.classifier, RrcmClassifier)
    before = {key: value.clone() for key, value in model.classifier.state_dict().items()}
    folded = next(module for module in fold(model, 0.25).modules() if isinstance(module, FoldedRrcm))
    own = {id(p) for p in model.classifier.parameters()}
    new = [name for name, p in folded.named_parameters() if id(p) not in own]
    assert sorted(new) == ["patches.weight", "positions", "rows"]
    assert not any("projection" in name or name.startswith("norm") for name, _ in folded.named_parameters())
    assert all(torch.equal(before[key], value) for key, value in model.classifier.state_dict().items())


class _Shifted(SigmaClassifier):
    """Ten pixels, moved by the noise level."""

    def forward(self, noisy: torch.Tensor, sigma: float) -> torch.Tensor:
        return noisy.flatten(1)[:, :10] + sigma * torch.arange(10)


def test_another_classifier_that_takes_a_noise_level_gets_it() -> None:
    model, pixels = replace(rrcm_model(), classifier=_Shifted().eval()), _pixels()
    for form in (fuse, fold):
        expected = _Shifted()(pixels / 127.5 - 1, 0.25)
        torch.testing.assert_close(form(model, 0.25)(pixels)[1], expected)


@pytest.mark.slow
def test_the_graph_has_no_time_path_and_the_plan_passes_the_gate_in_half(tmp_path: Path) -> None:
    model = rrcm_model()
    data = load_dataset("digits:test[:40]")
    plan = export_plan(model, ExportSpec(sigmas=(0.25,), precision="fp16", parity_draws=800), data, tmp_path / "plan")
    witness = next(parity for parity in plan.record.parity if parity.backend == "torch")
    assert witness.executed_precision == "fp16"
    assert witness.agreement >= 0.995
    assert plan.record.purifier == "identity"
    nodes = onnx.load_from_string(plan.read_graph(0.25)).graph.node
    assert not {"Sin", "Cos", "Log", "Pow", "Range"} & {node.op_type for node in nodes}
