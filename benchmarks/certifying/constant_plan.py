"""A plan of the same shapes whose network is a constant: what is left of a run is everything else."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from purecert.engine.files.canonical import sha256_hex
from purecert.engine.plans.plan import BATCH_DIMENSION, GraphInput, Plan, write_plan

_OPSET, _IR_VERSION = 20, 10  # as the plans that engine-export writes
_KINDS = {"float32": TensorProto.FLOAT, "float16": TensorProto.FLOAT16}


def write_constant_plan(plan: Plan, sigma: float, directory: Path) -> Plan:
    """Write ``plan`` at ``sigma`` with a network whose labels are all 0, in the place of any that is there.

    It keeps inputs and classes, and has logits, so that rows are placed as those of the plan are.
    """
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    model = constant_model(plan.record.inputs, plan.record.classes)
    graph = replace(plan.graph(sigma), file="constant.onnx", sha256=sha256_hex(model))
    (directory / graph.file).write_bytes(model)
    record = replace(plan.record, graphs=(graph,), logits="logits", parity=(), model_sha256="", sources=("constant",))
    return write_plan(directory, record)


def constant_model(inputs: tuple[GraphInput, ...], classes: int) -> bytes:
    """Return an ONNX graph of ``inputs`` with label 0 for every row.

    Each logit is the row's first pixel, so the first class is the first of the largest. A true constant would be no
    plan: a runtime would fold it away, and logits that are the same in every row prove nothing of rows.
    """
    nodes = [
        helper.make_node("Slice", [inputs[0].name, "first", "second", "axes"], ["pixel"]),
        helper.make_node("Flatten", ["pixel"], ["column"]),
        helper.make_node("Cast", ["column"], ["number"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["number", "ones"], ["logits"]),
        helper.make_node("ArgMax", ["logits"], ["largest"], axis=1, keepdims=0),
        helper.make_node("Cast", ["largest"], ["label"], to=TensorProto.INT32),
    ]
    constants = {
        "first": np.zeros(3, np.int64),
        "second": np.ones(3, np.int64),
        "axes": np.array([1, 2, 3], np.int64),
        "ones": np.ones((1, classes), np.float32),
    }
    graph = helper.make_graph(
        nodes,
        "constant",
        [helper.make_tensor_value_info(one.name, _KINDS[one.dtype], [BATCH_DIMENSION, *one.shape]) for one in inputs],
        [helper.make_tensor_value_info("label", TensorProto.INT32, [BATCH_DIMENSION])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR_VERSION)
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString())
