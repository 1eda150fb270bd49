"""The gate: what it measures, and what it refuses."""

import copy
import math
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor, nn

from purecert.engine.backends.vote_limits import LIMITS
from purecert.engine.errors import CheckError, InputError
from purecert.engine.images.datasets import Dataset, load_dataset
from purecert.engine.plans.plan import Parity, Plan, Precision
from purecert.export.fusing.fuse import FusedModel
from purecert.export.gate.parity import run_gate
from purecert.export.gate.tally import Tally, check_limits

MakePlan = Callable[..., Plan]


def _gate(plan: Plan, module: nn.Module, data: Dataset, draws: int) -> tuple[tuple[Parity, ...], list[str]]:
    said: list[str] = []
    return run_gate(plan, {plan.record.graphs[0].sigma: module}, data, draws, said.append), said


def _labels(*values: int) -> NDArray[np.int32]:
    return np.array(values, np.int32)


def test_the_limits_are_those_of_the_design() -> None:
    assert (LIMITS["fp32"].agreement, LIMITS["fp32"].net_loss) == (0.999, 0.0005)
    assert (LIMITS["fp16"].agreement, LIMITS["fp16"].net_loss) == (0.995, 0.001)


def test_net_loss_counts_the_votes_that_eagers_class_loses_and_agreement_every_change() -> None:
    tally = Tally(backend="torch", executed_precision="fp16")
    tally.add(_labels(3, 3, 3, 1), _labels(3, -1, 3, 3), "first")  # loses one vote of class 3 and wins one: no loss
    tally.add(_labels(2, 2, 2, 2), _labels(2, 2, 0, -1), "second")
    parity = tally.parity(2, reduced=True)
    assert (parity.draws, parity.images, parity.reduced) == (8, 2, True)
    assert parity.agreement == 4 / 8
    assert (parity.net_loss_mean, parity.net_loss_worst, tally.worst) == (0.25, 0.5, "second")


_PAIRS = st.lists(st.tuples(st.integers(-1, 4), st.integers(-1, 4)), min_size=1, max_size=40)


@settings(deadline=None)  # a busy machine is no fault
@given(pairs=_PAIRS)
def test_net_loss_is_at_most_the_disagreement(pairs: list[tuple[int, int]]) -> None:
    tally = Tally(backend="torch", executed_precision="fp32")
    tally.add(_labels(*(pair[0] for pair in pairs)), _labels(*(pair[1] for pair in pairs)), "it")
    parity = tally.parity(1, reduced=False)
    assert math.isclose(parity.agreement, sum(one == other for one, other in pairs) / len(pairs))
    assert abs(parity.net_loss_mean) <= 1 - parity.agreement + 1e-12


def _parity(precision: Precision, agreement: float, net_loss: float, *, draws: int = 20_000) -> Parity:
    return Parity(
        backend="torch",
        executed_precision=precision,
        draws=draws,
        images=100,
        agreement=agreement,
        net_loss_mean=net_loss,
        net_loss_worst=1.0,
        reduced=draws < 20_000,
        files=(),
    )


@pytest.mark.parametrize(
    ("precision", "agreement", "net_loss"),
    [("fp32", 0.9989, 0.0), ("fp32", 1.0, 0.0006), ("fp16", 0.9949, 0.0), ("fp16", 0.996, 0.0011)],
)
def test_beyond_a_limit_the_plan_is_refused(precision: Precision, agreement: float, net_loss: float) -> None:
    with pytest.raises(CheckError, match=r"does not vote like eager FP32.*torch .*no plan was written"):
        check_limits(_parity(precision, agreement, net_loss), precision)


@pytest.mark.parametrize(("precision", "agreement", "net_loss"), [("fp32", 0.999, 0.0005), ("fp16", 0.995, 0.001)])
def test_at_its_limits_a_plan_passes(precision: Precision, agreement: float, net_loss: float) -> None:
    check_limits(_parity(precision, agreement, net_loss), precision)


@pytest.mark.parametrize("draws", [100, 480, 5000])
def test_few_draws_refuse_a_plan_at_its_limits_no_more_often_than_chance_allows(draws: int) -> None:
    generator = np.random.default_rng(draws)
    # At FP16's limits: 0.5 % of the draws differ, 0.3 % lose a vote and 0.2 % win one.
    effects = generator.choice([1, -1, 0], size=(5000, draws), p=[0.003, 0.002, 0.995]).astype(np.int8)
    refused = 0
    for loss, same in zip(effects.mean(axis=1), (effects == 0).mean(axis=1), strict=True):
        try:
            check_limits(_parity("fp16", float(same), float(loss), draws=draws), "fp16")
        except CheckError:
            refused += 1
    assert refused <= 0.02 * 5000  # 3 standard deviations of a skew count, not of a Gaussian


def test_the_gate_runs_the_program_in_its_precision_and_onnx_runtime_in_fp32(fp16_plan: Plan, fp32_plan: Plan) -> None:
    openvino = [("openvino", "fp32")] if find_spec("openvino") else []
    found = {
        plan.record.precision: [(parity.backend, parity.executed_precision) for parity in plan.record.parity]
        for plan in (fp16_plan, fp32_plan)
    }
    assert found == {
        "fp16": [("torch", "fp16"), ("onnxruntime", "fp32"), *openvino],
        "fp32": [("torch", "fp32"), ("onnxruntime", "fp32"), *openvino],
    }


def test_fewer_draws_are_marked_and_all_of_them_are_counted(fp16_plan: Plan) -> None:
    for parity in fp16_plan.record.parity:
        assert (parity.draws, parity.images, parity.reduced) == (480, 24, True)


@pytest.mark.slow
def test_the_full_gate_is_not_marked(fp32_plan: Plan, network: FusedModel) -> None:
    parity, _ = _gate(fp32_plan, network, load_dataset("digits:train"), 20_000)
    assert {(entry.draws, entry.images, entry.reduced) for entry in parity} == {(20_000, 100, False)}


class Inverted(nn.Module):
    """Another network than the plan's: it prefers what that one likes least."""

    def __init__(self, fused: FusedModel) -> None:
        super().__init__()
        self.fused = fused

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        logits = -self.fused(pixels)[1]
        return logits.argmax(dim=1).to(torch.int32), logits


def test_a_plan_of_another_network_is_refused(fp32_plan: Plan, network: FusedModel, digits: Dataset) -> None:
    with pytest.raises(
        CheckError, match=r"the fp32 plan does not vote like eager FP32: expected agreement >= 99\.\d\d%"
    ):
        _gate(fp32_plan, Inverted(network), digits, 240)


def test_a_damaged_head_is_refused_and_its_worst_image_named(
    network: FusedModel, make_plan: MakePlan, digits: Dataset, tmp_path: Path
) -> None:
    damaged = to_damaged(network)
    plan = make_plan(damaged, tmp_path / "plan", "fp16")
    said: list[str] = []
    with pytest.raises(CheckError, match=r"the fp16 plan .*; export with --precision fp32"):
        run_gate(plan, {plan.record.graphs[0].sigma: network}, digits, 480, said.append)
    assert [line.startswith("parity on torch (fp16): 480 draws of 24 images") for line in said][:1] == [True]
    assert all("image" in line and "at sigma 0.1" in line for line in said)


def to_damaged(network: FusedModel) -> FusedModel:
    """Return a copy in which the class that the network likes best has lost its weights."""
    damaged = copy.deepcopy(network)
    head = damaged.network.get_submodule("head")
    assert isinstance(head, nn.Linear)
    best = int(network(torch.zeros(1, 1, 8, 8))[0])
    with torch.no_grad():
        head.weight[best] = 0
        head.bias[best] = -100
    return damaged


class Undefined(nn.Module):
    """Gives no finite logits at all."""

    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(1)[:, :10] * torch.nan


def test_a_model_without_finite_logits_is_refused(make_plan: MakePlan, tmp_path: Path) -> None:
    with pytest.raises(CheckError, match=r"finite logits from eager FP32, but 100\.0% of the draws have none"):
        make_plan(FusedModel(Undefined()).eval(), tmp_path / "plan", "fp32")
    assert list(tmp_path.iterdir()) == []


def test_fewer_than_twenty_images_are_too_few_however_few_draws(
    network: FusedModel, make_plan: MakePlan, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=r"at least 20 images.*whatever --parity-draws.*found 19 in digits:test"):
        make_plan(network, tmp_path / "plan", "fp32", data=load_dataset("digits:test[:19]"), draws=19)


class Slow(nn.Module):
    """Ten thousand batches of it would take longer than ten minutes."""

    def __init__(self, fused: FusedModel) -> None:
        super().__init__()
        self.fused = fused
        self.calls = 0

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        self.calls += 1
        if self.calls > 2:
            raise KeyboardInterrupt
        time.sleep(0.1)
        label, logits = self.fused(pixels)
        return label, logits


def test_a_gate_of_over_ten_minutes_says_so_first(fp32_plan: Plan, network: FusedModel, digits: Dataset) -> None:
    said: list[str] = []
    slow = Slow(network)
    with pytest.raises(KeyboardInterrupt):
        run_gate(fp32_plan, {fp32_plan.record.graphs[0].sigma: slow}, digits, 256 * 10_000, said.append)
    (line,) = said
    assert "the parity gate will take about" in line
    assert "--parity-draws" in line
