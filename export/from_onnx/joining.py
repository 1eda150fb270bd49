"""One graph of a classifier, and perhaps a denoiser, from noisy integers to a label."""

from typing import Any, final

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, compose, helper, numpy_helper

from purecert.engine.errors import InputError
from purecert.engine.noise.contract import GREY_LEVELS
from purecert.engine.plans.plan import BATCH_DIMENSION
from purecert.export.from_onnx.folding import fold_sizes
from purecert.export.from_onnx.reading import OnnxPipeline, opset_of
from purecert.export.graph.program import LABEL, LOGITS

_LEAST_IR = 7  # of a plan's graph; newer ones read what older ones say, once weights need not be inputs


def joined(pipeline: OnnxPipeline, shape: tuple[int, ...]) -> ModelProto:
    """Return one graph from integers [batch, *shape] to labels: what the pipeline's parts are, and their range."""
    low, high = pipeline.input_range
    graph = _Joined()
    value = graph.affine("pixels", "ranged", [(high - low) / GREY_LEVELS], [low])
    classifier = pipeline.classifier.graph
    parts = [classifier] if pipeline.denoiser is None else [pipeline.denoiser.graph, classifier]
    opsets = {opset_of(part) for part in parts}
    if len(opsets) > 1:
        raise InputError(f"expected denoiser and classifier of one opset, found {sorted(opsets)}; export both alike")
    if pipeline.denoiser is not None:
        value = graph.model(pipeline.denoiser.graph, "denoiser", value)
    scale = [1 / std for std in pipeline.std]
    value = graph.affine(value, "normalised", scale, [-m / s for m, s in zip(pipeline.mean, pipeline.std, strict=True)])
    graph.label(graph.model(classifier, "classifier", value))
    ir_version = max(_LEAST_IR, *(part.ir_version for part in parts))
    taken = helper.make_tensor_value_info("pixels", TensorProto.FLOAT, [BATCH_DIMENSION, *shape])
    given = helper.make_tensor_value_info(LABEL, TensorProto.INT32, [BATCH_DIMENSION])
    whole = helper.make_graph(graph.nodes, "purecert", [taken], [given], graph.weights)
    model = helper.make_model(whole, opset_imports=[helper.make_opsetid("", opsets.pop())], ir_version=ir_version)
    fold_sizes(model)
    return model


@final
class _Joined:
    """Nodes and weights in the order in which they are computed."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[TensorProto] = []

    def affine(self, value: str, name: str, scale: list[float], shift: list[float]) -> str:
        """Return ``value`` times a scale, plus a shift, each one number or one a channel."""
        for part, numbers in (("scale", scale), ("shift", shift)):
            self.weight(f"{name}.{part}", np.array(numbers, np.float32).reshape(1, -1, 1, 1))
        self.node("Mul", [value, f"{name}.scale"], f"{name}.scaled")
        return self.node("Add", [f"{name}.scaled", f"{name}.shift"], name)

    def model(self, model: ModelProto, prefix: str, value: str) -> str:
        """Return the output of ``model`` at ``value``; its names get ``prefix``."""
        own = compose.add_prefix(model, f"{prefix}/").graph
        weights = {weight.name for weight in own.initializer}
        (taken,) = (entry.name for entry in own.input if entry.name not in weights)
        self.node("Identity", [value], taken)
        self.weights += own.initializer
        for node in own.node:
            node.doc_string = ""
            del node.metadata_props[:]
        self.nodes += own.node
        return str(own.output[0].name)

    def label(self, value: str) -> None:
        """End in the place of the largest logit, or -1 where one is not finite."""
        self.weight("last_axis", np.array([1], np.int64))
        self.weight("invalid", np.array(-1, np.int32))
        self.node("Identity", [value], LOGITS)
        self.node("IsNaN", [LOGITS], "is_nan")
        self.node("IsInf", [LOGITS], "is_infinite")
        self.node("Or", ["is_nan", "is_infinite"], "is_not_finite")
        self.node("Cast", ["is_not_finite"], "not_finite", to=TensorProto.INT32)
        self.node("ReduceMax", ["not_finite", "last_axis"], "any_not_finite", keepdims=0)
        self.node("Cast", ["any_not_finite"], "is_invalid", to=TensorProto.BOOL)
        self.node("ArgMax", [LOGITS], "largest", axis=1, keepdims=0)
        self.node("Cast", ["largest"], "top", to=TensorProto.INT32)
        self.node("Where", ["is_invalid", "invalid", "top"], LABEL)

    def node(self, kind: str, inputs: list[str], output: str, **attributes: Any) -> str:
        """Add a node and return its output."""
        self.nodes.append(helper.make_node(kind, inputs, [output], name=f"purecert/{output}", **attributes))
        return output

    def weight(self, name: str, value: NDArray[np.generic]) -> None:
        """Add a constant."""
        self.weights.append(numpy_helper.from_array(value, name))
