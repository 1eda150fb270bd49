"""Graphs that see padding, their place, their neighbours or the number of the batch, on every backend of the host."""

import io
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import torch
from onnx import helper
from torch import Tensor, nn

from purecert.engine.backends.base import BackendOptions
from purecert.engine.backends.opening import open_backend
from purecert.engine.errors import CheckError
from purecert.engine.plans.plan import Plan
from purecert.engine.plans.trust import write_trusted
from support.plans import LABEL_CONSTANTS, label_nodes, write_test_plan

_SHAPE, _BATCH, _SIGMA = (1, 2, 3), 128, 0.25
_WEIGHT = np.array([3, -2, 5, 1, -4, 2], np.float32)
_IMAGES = np.random.default_rng(0).integers(0, 256, (6, *_SHAPE), dtype=np.uint8)
_WINS = np.array([[1e4, 0]], np.float32)  # class 0
_KINDS = ("padding", "place", "neighbour")
# The row check in front of a compiled program is that of any other, which CI tries.
_COMPILED = [pytest.param("torch-compiled", kind, marks=[pytest.mark.slow, pytest.mark.nightly]) for kind in _KINDS]


class _Minding(nn.Module):
    """A linear classifier that answers class 0 where it sees what ``kind`` says."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind
        self.register_buffer("weight", torch.from_numpy(_WEIGHT))
        self.register_buffer("wins", torch.from_numpy(_WINS))
        self.register_buffer("batches", torch.zeros(()))

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        score = (pixels.flatten(1) * self.weight).sum(1) - 300.5
        logits = torch.stack([torch.zeros_like(score), score], dim=1)
        place = torch.arange(pixels.shape[0])
        if self.kind == "padding":
            logits = torch.where((pixels.flatten(1) == 0).all(1).any(), self.wins, logits)
        elif self.kind == "place":
            logits = torch.where((place < 100)[:, None], self.wins, logits)
        elif self.kind == "neighbour":
            logits = torch.where(pixels[-1].amax() > 1500, self.wins, logits)
        elif self.kind == "number of the batch":
            self.batches.add_(1)
            logits = torch.where(self.batches > 1e6, self.wins, logits)  # far past what a check can wait for
        return logits.argmax(1).to(torch.int32), logits


def _onnx_nodes(kind: str) -> Sequence[object]:
    """Return the same as nodes of ONNX: from ``linear`` to ``logits``."""
    if kind == "padding":
        return [
            helper.make_node("Abs", ["flat"], ["size"]),
            helper.make_node("ReduceMax", ["size", "class_axis"], ["largest"], keepdims=0),
            helper.make_node("ReduceMin", ["largest"], ["least"], keepdims=0),
            helper.make_node("Equal", ["least", "nothing"], ["seen"]),
            helper.make_node("Where", ["seen", "wins", "linear"], ["logits"]),
        ]
    if kind == "place":
        return [helper.make_node("Where", ["first", "wins", "linear"], ["logits"])]
    if kind == "neighbour":
        return [
            helper.make_node("ReduceMax", ["flat"], ["largest"], keepdims=0),
            helper.make_node("Greater", ["largest", "bright"], ["seen"]),
            helper.make_node("Where", ["seen", "wins", "linear"], ["logits"]),
        ]
    return [helper.make_node("Identity", ["linear"], ["logits"])]


def _plan(directory: Path, kind: str) -> Plan:
    """Write a plan of the minding graph, with its PyTorch program under this machine's tag."""
    nodes = [
        helper.make_node("Flatten", ["pixels"], ["flat"]),
        helper.make_node("Gemm", ["flat", "matrix", "bias"], ["linear"]),
        *_onnx_nodes(kind),
        *label_nodes(),
    ]
    constants = {
        "matrix": np.stack([np.zeros_like(_WEIGHT), _WEIGHT], axis=1),
        "bias": np.array([0, -300.5], np.float32),
        "wins": _WINS,
        "first": (np.arange(_BATCH) < 100)[:, None],
        "nothing": np.array(0, np.float32),
        "bright": np.array(1500, np.float32),
        **LABEL_CONSTANTS,
    }
    plan = write_test_plan(directory, nodes, constants, _SHAPE, sigma=_SIGMA)  # type: ignore[arg-type]  # onnx nodes
    rows = (torch.zeros((4, *_SHAPE)),)
    batch = {0: torch.export.Dim("batch", min=2)}
    program, content = torch.export.export(_Minding(kind).eval(), rows, dynamic_shapes=(batch,)), io.BytesIO()
    torch.export.save(program, content)
    write_trusted(plan.cached_program(_SIGMA), content.getvalue(), plan.graph(_SIGMA).sha256)
    return plan


@pytest.fixture(scope="module")
def plans(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Plan]:
    folder = tmp_path_factory.mktemp("minding")
    return {kind: _plan(folder / kind, kind) for kind in (*_KINDS, "nothing", "number of the batch")}


def _open(plan: Plan, name: str) -> str:
    options = BackendOptions(name=name, batch=_BATCH, threads=1, probe_rows=1000)
    with closing(open_backend(plan, _SIGMA, 7, options, _IMAGES, np.arange(len(_IMAGES)))) as backend:
        return backend.info.placement


@pytest.mark.parametrize(
    ("name", "kind"), [*((name, kind) for name in ("onnxruntime", "torch") for kind in _KINDS), *_COMPILED]
)
def test_a_graph_that_minds_its_batch_is_refused(plans: dict[str, Plan], name: str, kind: str) -> None:
    with pytest.raises(CheckError, match="no certificate is possible"):
        _open(plans[kind], name)


@pytest.mark.parametrize(
    "name",
    ["onnxruntime", "torch", pytest.param("torch-compiled", marks=[pytest.mark.slow, pytest.mark.nightly])],
)
def test_the_same_graph_that_minds_nothing_is_taken(plans: dict[str, Plan], name: str) -> None:
    assert _open(plans["nothing"], name) == "row_invariant"


@pytest.mark.parametrize("name", ["torch", "torch-compiled"])
def test_a_program_that_keeps_something_from_batch_to_batch_is_refused(plans: dict[str, Plan], name: str) -> None:
    with pytest.raises(CheckError, match="keeps nothing from batch to batch, but it writes to 'batches'"):
        _open(plans["number of the batch"], name)
