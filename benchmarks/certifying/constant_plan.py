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
    """Return an ONNX graph of ``inputs`` with label 0 and logits 0 for every row.

    Zeros are made of a pixel, which is never NaN: a runtime would fold a true constant away, and refuse a graph
    without nodes.
    """
    nodes = [
        helper.make_node("Slice", [inputs[0].name, "first", "second", "axes"], ["pixel"]),
        helper.make_node("IsNaN", ["pixel"], ["never"]),
        helper.make_node("Flatten", ["never"], ["column"]),
        helper.make_node("Cast", ["column"], ["zero"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["zero", "ones"], ["logits"]),  # no label needs them: only the row check's probe does
        helper.make_node("Cast", ["column"], ["whole_zero"], to=TensorProto.INT32),
        helper.make_node("Squeeze", ["whole_zero", "class_axis"], ["label"]),
    ]
    constants = {
        "first": np.zeros(3, np.int64),
        "second": np.ones(3, np.int64),
        "axes": np.array([1, 2, 3], np.int64),
        "ones": np.ones((1, classes), np.float32),
        "class_axis": np.array([1], np.int64),
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
