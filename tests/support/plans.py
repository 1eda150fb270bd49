"""Plans whose smoothed classifier is known in closed form, built node by node with the onnx package."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from purecert.engine.files.canonical import sha256_hex
from purecert.engine.plans.plan import PLAN_SCHEMA, GraphInput, Plan, PlanRecord, SigmaGraph, write_plan

_OPSET = 20
_IR_VERSION = 10
_KINDS = {"float32": TensorProto.FLOAT, "float16": TensorProto.FLOAT16}

Constants = Mapping[str, NDArray[np.generic]]


def write_test_plan(
    directory: Path,
    nodes: Sequence[onnx.NodeProto],
    constants: Constants,
    shape: tuple[int, int, int],
    *,
    sigma: float = 0.5,
    classes: int = 2,
    noise_inputs: int = 0,
    logits: str | None = "logits",
) -> Plan:
    """Write a one-sigma FP32 plan whose graph is ``nodes``, from ``pixels`` (and noise_1, ...) to ``label``."""
    pixels = GraphInput(name="pixels", shape=shape, dtype="float32")
    extra = [GraphInput(name=f"noise_{i}", shape=(1, *shape), dtype="float32") for i in range(1, noise_inputs + 1)]
    model = _model(nodes, [pixels, *extra], constants)
    directory.mkdir(parents=True, exist_ok=True)
    (directory / f"sigma-{sigma}.onnx").write_bytes(model)
    graph = SigmaGraph(sigma=sigma, file=f"sigma-{sigma}.onnx", sha256=sha256_hex(model), t=None)
    return write_plan(directory, _record([pixels, *extra], graph, classes, logits))


def linear_plan(
    directory: Path, weight: NDArray[np.float32], threshold: float, shape: tuple[int, int, int], *, sigma: float = 0.5
) -> Plan:
    """Write a plan of f(z) = 1 if weight . z > threshold else 0, whose smoothed boundary is that very plane."""
    matrix = np.stack([np.zeros_like(weight), weight], axis=1).astype(np.float32)
    nodes = [
        helper.make_node("Flatten", ["pixels"], ["flat"]),
        helper.make_node("Gemm", ["flat", "matrix", "bias"], ["logits"]),
        *label_nodes(),
    ]
    constants = {"matrix": matrix, "bias": np.array([0, -threshold], np.float32), **LABEL_CONSTANTS}
    return write_test_plan(directory, nodes, constants, shape, sigma=sigma)


LABEL_CONSTANTS: Constants = {"class_axis": np.array([1], np.int64), "minus_one": np.array(-1, np.int32)}


def label_nodes() -> list[onnx.NodeProto]:
    """Return the nodes from ``logits`` to ``label``: -1 where a logit is not finite, ties to the lowest index."""
    return [
        helper.make_node("Sub", ["logits", "logits"], ["zero_or_nan"]),
        helper.make_node("ReduceSum", ["zero_or_nan", "class_axis"], ["zero_or_nan_row"], keepdims=0),
        helper.make_node("IsNaN", ["zero_or_nan_row"], ["invalid"]),
        helper.make_node("ArgMax", ["logits"], ["top64"], axis=1, keepdims=0),
        helper.make_node("Cast", ["top64"], ["top"], to=TensorProto.INT32),
        helper.make_node("Where", ["invalid", "minus_one", "top"], ["label"]),
    ]


def _model(nodes: Sequence[onnx.NodeProto], inputs: Sequence[GraphInput], constants: Constants) -> bytes:
    graph = helper.make_graph(
        list(nodes),
        "test",
        [helper.make_tensor_value_info(i.name, _KINDS[i.dtype], ["batch", *i.shape]) for i in inputs],
        [helper.make_tensor_value_info("label", TensorProto.INT32, ["batch"])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR_VERSION)
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString())


def _record(inputs: Sequence[GraphInput], graph: SigmaGraph, classes: int, logits: str | None) -> PlanRecord:
    return PlanRecord(
        schema=PLAN_SCHEMA,
        inputs=tuple(inputs),
        classes=classes,
        class_names=(),
        graphs=(graph,),
        precision="fp32",
        purifier="identity",
        time_rule="none",
        fp32_islands={},
        logits=logits,
        exporter={"onnx": onnx.__version__, "torch": "of the programs that some tests add"},
        parity=(),
        model_sha256="",
        data=None,
        sources=("tests",),
        licence="none",
    )
