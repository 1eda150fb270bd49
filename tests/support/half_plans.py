"""A plan of two small half-precision graphs, and plans whose plan.json says something else."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from purecert.engine.files.canonical import sha256_hex
from purecert.engine.plans.plan import Plan
from support.records import PLAN


def _graph(name: str) -> bytes:
    """Return a graph of the record's inputs; graphs of other names have other bytes."""
    nodes = [
        helper.make_node("ReduceMean", ["pixels", "places"], ["logits"], keepdims=0),
        helper.make_node("ArgMax", ["logits"], ["top"], axis=1, keepdims=0),
        helper.make_node("Cast", ["top"], ["label"], to=TensorProto.INT32),
    ]
    inputs = [
        helper.make_tensor_value_info(one.name, TensorProto.FLOAT16, ["batch", *one.shape]) for one in PLAN.inputs
    ]
    label = helper.make_tensor_value_info("label", TensorProto.INT32, ["batch"])
    places = numpy_helper.from_array(np.array([2, 3]), "places")
    graph = helper.make_graph(nodes, name, inputs, [label], [places])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    return bytes(model.SerializeToString())


GRAPHS = {f"sigma-{sigma}.onnx": _graph(f"graph of {sigma}") for sigma in (0.25, 0.5)}
RECORD = replace(PLAN, graphs=tuple(replace(graph, sha256=sha256_hex(GRAPHS[graph.file])) for graph in PLAN.graphs))


def change_plan(plan: Plan, change: Callable[[dict[str, Any]], object]) -> Path:
    """Apply ``change`` to the parsed plan.json and write it back."""
    value = json.loads((plan.directory / "plan.json").read_text())
    change(value)
    (plan.directory / "plan.json").write_text(json.dumps(value))
    return plan.directory
