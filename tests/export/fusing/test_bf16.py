"""A bf16 plan: the PyTorch program holds bf16, the ONNX graph FP32, and both vote as the gate allows."""

from collections.abc import Sequence
from pathlib import Path

import onnx
import pytest
import torch
from onnx import TensorProto
from torch import nn

from purecert.engine.backends.vote_limits import LIMITS
from purecert.engine.errors import CheckError
from purecert.engine.plans.plan import Parity, Plan, read_plan
from purecert.export.fusing.fuse import FusedModel
from purecert.export.fusing.precision import to_half
from purecert.export.gate.tally import check_limits
from support.commands import engine


def _dtypes(module: nn.Module) -> dict[str, torch.dtype]:
    return {name: value.dtype for name, value in module.named_parameters()}


def test_convolutions_are_bf16_and_normalisations_and_the_head_fp32(network: FusedModel) -> None:
    half, islands = to_half(network, torch.bfloat16)
    for name, dtype in _dtypes(half).items():
        is_island = any(name.startswith(f"{path}.") for path in islands)
        assert dtype == (torch.float32 if is_island else torch.bfloat16), name
    assert half.dtype == torch.bfloat16


def test_a_weight_that_bf16_cannot_hold_is_refused() -> None:
    layer = nn.Conv2d(1, 2, 1)
    with torch.no_grad():
        layer.weight.fill_(3.4e38)
    with pytest.raises(CheckError, match=r"beyond bf16's 3\.39e38: no bf16 plan"):
        to_half(FusedModel(nn.Sequential(layer, nn.Flatten(), nn.Linear(2, 2))), torch.bfloat16)


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bf16") / "plan"
    engine("export", "demo", "-o", path, "--sigma", "0.5", "--precision", "bf16", "--parity-draws", "400").expect(0)
    return path


def test_pixels_stay_whole_numbers_and_the_onnx_graph_is_fp32(plan: Path) -> None:
    read = read_plan(plan)
    assert [entry.dtype for entry in read.record.inputs] == ["float32"]
    model = onnx.load_from_string(read.read_graph(0.5))
    assert {weight.data_type for weight in model.graph.initializer} <= {TensorProto.FLOAT, TensorProto.INT64}
    assert ("torch", "bf16") in _gated(read)
    assert ("onnxruntime", "fp32") in _gated(read)


def _gated(plan: Plan) -> Sequence[tuple[str, str]]:
    return [(measured.backend, measured.executed_precision) for measured in plan.record.parity]


def test_a_run_says_that_it_was_computed_in_bf16(plan: Path, tmp_path: Path) -> None:
    backend = "openvino" if ("openvino", "bf16") in _gated(read_plan(plan)) else "torch"  # no bf16 on this processor
    numbers = ["--data", "digits:test[:2]", "--sigma", "0.5", "--n", "200", "--n0", "20", "--probe-rows", "64"]
    run = tmp_path / "run"
    engine("certify", "--plan", plan, *numbers, "--backend", backend, "--seed", "3", "--out", run).expect(0)
    assert '"executed_precision": "bf16"' in (run / "run.json").read_text()
    said = engine("report", run).expect(0).out
    assert "not gated" not in said
    assert "executed precision" not in said


def test_the_gate_refuses_what_is_beyond_the_limits_of_bf16() -> None:
    limits = LIMITS["bf16"]
    assert (limits.agreement, limits.net_loss) == (0.98, 0.005)
    measured = {"backend": "torch", "executed_precision": "bf16", "draws": 20_000, "images": 100, "files": ()}
    fine = Parity(agreement=0.98, net_loss_mean=0.005, net_loss_worst=0.1, reduced=False, **measured)
    check_limits(fine, "bf16")
    for agreement, loss in ((0.9799, 0.0), (1.0, 0.0051)):
        beyond = Parity(agreement=agreement, net_loss_mean=loss, net_loss_worst=0.1, reduced=False, **measured)
        with pytest.raises(CheckError, match="the bf16 plan does not vote like eager FP32"):
            check_limits(beyond, "bf16")
