"""Whose votes the gate compares: eager FP32, the exported program, and the ONNX graph in ONNX Runtime and OpenVINO."""

import io
import logging
from abc import ABC, abstractmethod
from collections.abc import Sequence
from importlib.util import find_spec
from typing import final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from purecert.engine.backends.graph import HostGraph
from purecert.engine.errors import BackendError
from purecert.engine.plans.plan import Plan, Precision
from purecert.engine.plans.trust import read_trusted
from purecert.export.gate.overflow import OverflowWitness
from purecert.export.refusals import refusing

Rows = Sequence[NDArray[np.generic]]  # one array [rows, ...] per graph input


class Voter(ABC):
    """Labels noisy rows; ``backend`` and ``executed_precision`` are what plan.json calls it."""

    backend: str
    executed_precision: Precision

    @abstractmethod
    def labels(self, rows: Rows) -> NDArray[np.int32]:
        """Return one label a row, -1 where a logit is not finite."""

    def close(self) -> None:
        """Free what the voter runs on."""
        return


@final
class EagerVoter(Voter):
    """The reference: the module itself in FP32."""

    backend, executed_precision = "eager", "fp32"

    def __init__(self, module: nn.Module) -> None:
        self._module = module

    def labels(self, rows: Rows) -> NDArray[np.int32]:
        expected = f"a network that takes {len(rows[0])} noisy images at once"
        with refusing(expected, "let it do the same for any batch"), torch.inference_mode():
            label: Tensor = self._module(*(torch.from_numpy(row).to(torch.float32) for row in rows))[0]
        return np.asarray(label.numpy())


@final
class ProgramVoter(Voter):
    """The exported program as PyTorch runs it; in FP16, one that refuses to overflow."""

    backend = "torch"

    def __init__(self, plan: Plan, sigma: float) -> None:
        self.executed_precision = plan.record.precision
        content = read_trusted(plan.cached_program(sigma), plan.graph(sigma).sha256)
        program = torch.export.load(io.BytesIO(content))
        self._witness = OverflowWitness(program) if self.executed_precision == "fp16" else None
        self._module = program.module()

    def labels(self, rows: Rows) -> NDArray[np.int32]:
        tensors = [torch.from_numpy(row) for row in rows]
        with torch.inference_mode():
            outputs = self._witness.outputs(tensors) if self._witness else self._module(*tensors)
        return np.asarray(outputs[0].numpy())


@final
class GraphVoter(Voter):
    """An opened graph of fixed batch."""

    def __init__(self, graph: HostGraph, backend: str) -> None:
        self.backend = backend
        self.executed_precision = _precision(graph.executed_precision)
        self._graph = graph

    def labels(self, rows: Rows) -> NDArray[np.int32]:
        batch, parts = len(self._graph.inputs[0]), []
        for first in range(0, len(rows[0]), batch):
            count = min(batch, len(rows[0]) - first)
            for buffer, row in zip(self._graph.inputs, rows, strict=True):
                np.copyto(buffer[:count], row[first : first + count], casting="no")
            parts.append(self._graph.labels()[:count].copy())
        return np.concatenate(parts)

    def close(self) -> None:
        self._graph.close()


def _precision(executed: str) -> Precision:
    """Return what a graph computes in as the gate counts it: whatever an engine mixes with FP16 is FP16."""
    own: dict[str, Precision] = {"fp32": "fp32", "bf16": "bf16", "int8": "int8"}
    return own.get(executed, "fp16")


def open_candidates(plan: Plan, sigma: float, batch: int) -> list[Voter]:
    """Return what can run ``plan`` here: its program if it has one, the graph in each runtime that is installed."""
    voters: list[Voter] = [ProgramVoter(plan, sigma)] if plan.has_program else []
    if has_onnxruntime():
        from purecert.engine.backends.onnxruntime.cpu import OrtGraph

        voters.append(GraphVoter(OrtGraph(plan, sigma, batch, torch.get_num_threads()), "onnxruntime"))
    if find_spec("openvino") is not None:
        voters += _openvino(plan, sigma, batch)
    return voters


def _openvino(plan: Plan, sigma: float, batch: int) -> list[Voter]:
    """Return OpenVINO's graph; none, and a line that says why, where it would not run this plan on this processor."""
    from purecert.engine.backends.openvino.cpu import OpenVinoGraph

    try:
        return [GraphVoter(OpenVinoGraph(plan, sigma, batch, torch.get_num_threads()), "openvino")]
    except BackendError as error:
        logging.getLogger("purecert").warning("the gate leaves OpenVINO out: %s", error)
        return []


def has_onnxruntime() -> bool:
    """Whether ONNX Runtime is installed."""
    return find_spec("onnxruntime") is not None
