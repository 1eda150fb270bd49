"""FP16 overflow is refused where it happens, whatever follows it."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from purecert.engine.errors import CheckError
from purecert.engine.plans.plan import GraphInput, Plan
from purecert.export.fusing.fuse import FusedModel
from purecert.export.fusing.precision import to_half
from purecert.export.gate.overflow import OverflowWitness
from purecert.export.graph.program import export_program

Inputs = Callable[..., tuple[GraphInput, ...]]


class Loud(nn.Module):
    """An intermediate of some 225,000, which ``end`` brings back to finite values."""

    def __init__(self, end: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 4, 1)
        self.loud = nn.Conv2d(4, 4, 1, bias=False)
        self.head = nn.Linear(4, 10)
        self.end = end
        nn.init.constant_(self.first.weight, 100.0)
        nn.init.constant_(self.loud.weight, 600.0)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self.end(self.loud(self.first(x))).mean(dim=(2, 3)))
        return logits


def _identity(x: Tensor) -> Tensor:
    return x


def _clip(x: Tensor) -> Tensor:
    return x.clamp(-1, 1)


@pytest.mark.parametrize(
    "end",
    [
        pytest.param(_identity, id="open"),
        pytest.param(torch.sigmoid, id="sigmoid", marks=pytest.mark.slow),
        pytest.param(_clip, id="clip", marks=pytest.mark.slow),
    ],
)
def test_a_model_that_leaves_half_is_refused_and_leaves_no_plan(
    end: Callable[[Tensor], Tensor], make_plan: Callable[..., Plan], tmp_path: Path
) -> None:
    module = FusedModel(Loud(end)).eval().requires_grad_(False)
    with pytest.raises(
        CheckError, match=r"65,504, but conv2d_1 \(module network\.loud\) reaches \d{6} in FP32; .*fp32$"
    ):
        make_plan(module, tmp_path / "plan", "fp16")
    assert CheckError.exit_code == 4
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_the_same_model_is_exported_in_fp32(make_plan: Callable[..., Plan], tmp_path: Path) -> None:
    plan = make_plan(FusedModel(Loud(torch.sigmoid)).eval().requires_grad_(False), tmp_path / "plan", "fp32")
    assert plan.record.precision == "fp32"


class Masked(nn.Module):
    """Scores with a mask of infinities, which are no overflow."""

    def __init__(self) -> None:
        super().__init__()
        self.mix = nn.Linear(4, 4)
        self.head = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        mixed = self.mix(x.flatten(1))
        masked = mixed.masked_fill(torch.tensor([False, True, False, True]), -torch.inf)
        logits: Tensor = self.head(functional.softmax(masked, dim=1))
        return logits


class Scores(nn.Module):
    """Attention between vectors of a norm whose square is beyond half."""

    def __init__(self, size: float) -> None:
        super().__init__()
        self.size = size
        self.head = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        rows = torch.ones_like(x.flatten(2)) * self.size
        logits: Tensor = self.head(functional.scaled_dot_product_attention(rows, rows, x.flatten(2)).mean(dim=1))
        return logits


def _witness(network: nn.Module, inputs: tuple[GraphInput, ...]) -> tuple[Tensor, Tensor]:
    half, _ = to_half(FusedModel(network).eval().requires_grad_(False))
    rows = torch.arange(20.0, dtype=torch.float16).reshape(5, 1, 2, 2)
    return OverflowWitness(export_program(half, inputs)).outputs([rows])


def test_a_mask_of_infinities_is_no_overflow(inputs_of: Inputs) -> None:
    label, logits = _witness(Masked(), inputs_of("fp16", shape=(1, 2, 2)))
    assert label.shape == (5,)
    assert bool(torch.isfinite(logits).all())


def test_attention_scores_beyond_half_are_refused_though_pytorch_fuses_them_away(inputs_of: Inputs) -> None:
    inputs = inputs_of("fp16", shape=(1, 2, 2))
    assert bool(torch.isfinite(_witness(Scores(100.0), inputs)[1]).all())
    with pytest.raises(CheckError, match=r"the scores of scaled_dot_product_attention .* reaches 80000 in FP32"):
        _witness(Scores(200.0), inputs)  # 4 x 200^2 / sqrt(4) = 80,000


def test_the_witness_computes_what_the_program_does(network: FusedModel, inputs_of: Inputs) -> None:
    program = export_program(to_half(network)[0], inputs_of("fp16"))
    rows = torch.arange(-300.0, 340.0, dtype=torch.float16).reshape(10, 1, 8, 8)
    for found, expected in zip(OverflowWitness(program).outputs([rows]), program.module()(rows), strict=True):
        assert torch.equal(found, expected)
