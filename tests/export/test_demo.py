"""The committed demo model's two plans."""

import io
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from purecert.engine.images.datasets import load_dataset
from purecert.engine.plans.plan import Plan, read_plan
from purecert.engine.plans.trust import read_trusted
from purecert.export.gate.parity import DEFAULT_DRAWS, run_gate

pytestmark = [pytest.mark.slow, pytest.mark.nightly]

_SIGMA = 0.5


class FullPrecision(nn.Module):
    """The program of an FP32 plan."""

    def __init__(self, plan: Plan) -> None:
        super().__init__()
        content = read_trusted(plan.cached_program(_SIGMA), plan.graph(_SIGMA).sha256)
        self.program = torch.export.load(io.BytesIO(content)).module()

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        label, logits = self.program(pixels)
        return label, logits


def test_the_demos_fp16_and_fp32_plans_agree_within_the_gate(demo_plan: Path, demo_plan_fp16: Path) -> None:
    said: list[str] = []
    reference = {_SIGMA: FullPrecision(read_plan(demo_plan))}
    data = load_dataset("digits:test")
    results = run_gate(read_plan(demo_plan_fp16), reference, data, DEFAULT_DRAWS, said.append)
    assert [(parity.executed_precision, parity.reduced) for parity in results] == [("fp16", False), ("fp32", False)]
    assert all(parity.agreement >= 0.995 and parity.net_loss_mean <= 0.001 for parity in results)
