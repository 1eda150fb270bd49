"""What a plan's graph must not hold: constructs of which no engine can be built, or that are slow or unsound in one.

They are refused at export, with the node's name, before a user meets them in a library's own words.
"""

import re
from collections.abc import Mapping, Sequence, Set

import onnx
from onnx import NodeProto, TensorProto

from purecert.engine.errors import InputError
from purecert.engine.plans.allowed_operators import FORBIDDEN
from purecert.engine.plans.onnx_graph import PRODUCTS, OnnxGraph, OnnxNode, read_graph
from purecert.engine.plans.plan import Precision

_OWN_DOMAINS = ("", "ai.onnx")
_DOUBLES = (TensorProto.DOUBLE, TensorProto.COMPLEX64, TensorProto.COMPLEX128)
# Weights beyond this size cannot be shapes, and inferring shapes copies the model.
_MAX_SHAPE_BYTES = 1024
_A_BATCH = 7
_AS_THEIR_INPUT = ("GroupNormalization",)  # of that shape, which onnx infers of no such node from opset 21 on
_TYPE_NAMES: dict[int, str] = {TensorProto.FLOAT: "FP32", TensorProto.UNDEFINED: "a type that is not known"}


def check_graph(content: bytes, precision: Precision, islands: Mapping[str, str]) -> None:
    """Refuse an exported graph that engines cannot be built of.

    Args:
        content: The ONNX model.
        precision: What the plan is exported in.
        islands: Paths of the modules that stay in FP32 in an FP16 plan.

    Raises:
        InputError: A shape depends on values, a node loops or draws at random, a tensor is FP64, an operator is not
            ONNX's own, or an FP16 plan multiplies in another type outside of its islands; the message names the node.
    """
    model = _without_large_weights(onnx.load_from_string(content))
    for node in model.graph.node:
        _check_operator(node)
    types = _types(model)
    for node in model.graph.node:
        _check_doubles(node, types)
    _check_shapes(model)
    if precision == "fp16":
        graph = read_graph(content)
        for entry in graph.nodes:
            _check_product(entry, graph, types, islands)


def _without_large_weights(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model with the bytes of its large weights gone: they hold no shapes, and inferring copies them."""
    for weight in model.graph.initializer:
        if len(weight.raw_data) > _MAX_SHAPE_BYTES:
            weight.ClearField("raw_data")
    return model


def _types(model: onnx.ModelProto) -> dict[str, int]:
    """Return the type of every value."""
    graph = onnx.shape_inference.infer_shapes(model).graph
    values = (*graph.value_info, *graph.input, *graph.output)
    types = {value.name: value.type.tensor_type.elem_type for value in values}
    return types | {weight.name: weight.data_type for weight in graph.initializer}


def _check_operator(node: NodeProto) -> None:
    if (why := FORBIDDEN.get(node.op_type)) is not None:
        raise InputError(f"node {node.name} ({node.op_type}) {why}; rewrite the module without it")
    if node.domain not in _OWN_DOMAINS:
        raise InputError(
            f"node {node.name} is {node.domain}::{node.op_type}, which is none of ONNX's own operators; "
            "rewrite the module with plain PyTorch operations"
        )


def _check_shapes(model: onnx.ModelProto) -> None:
    """Refuse a value whose shape is not fixed once the batch is.

    Either the exporter knew it, as sizes and expressions of the batch, or it follows at a batch of a given size.
    """
    batch = {dim.dim_param for entry in model.graph.input for dim in _dims(entry) if dim.dim_param}
    exported = {value.name for value in (*model.graph.value_info, *model.graph.output) if _is_fixed(value, batch)}
    inferred = onnx.shape_inference.infer_shapes(_at_a_batch(model), data_prop=True).graph
    fixed = exported | {value.name for value in (*inferred.value_info, *inferred.output) if _is_fixed(value, set())}
    for node in model.graph.node:
        for name in node.output:
            if name and name not in fixed:
                raise InputError(
                    f"node {node.name} ({node.op_type}) gives {name} a shape that is not fixed by the batch; "
                    "rewrite the module so that no shape depends on values"
                )


def _at_a_batch(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model at a batch of a given size, with no shape told but those of its inputs."""
    fixed = onnx.ModelProto()
    fixed.CopyFrom(model)
    del fixed.graph.value_info[:]
    for entry in fixed.graph.input:
        for dim in _dims(entry):
            if dim.dim_param:
                dim.dim_value = _A_BATCH
    for entry in fixed.graph.output:
        entry.type.tensor_type.ClearField("shape")
    for node in fixed.graph.node:
        if node.op_type in _AS_THEIR_INPUT:
            node.op_type = "Identity"
            del node.input[1:], node.attribute[:]
    return fixed


def _dims(value: onnx.ValueInfoProto) -> Sequence[onnx.TensorShapeProto.Dimension]:
    return value.type.tensor_type.shape.dim  # type: ignore[no-any-return]  # onnx has no types


def _is_fixed(value: onnx.ValueInfoProto, batch: Set[str]) -> bool:
    """Return whether the shape is known, in sizes and expressions of ``batch`` such as "4*batch"."""
    if not value.type.tensor_type.HasField("shape"):
        return False
    names = [re.findall(r"[A-Za-z_]\w*", dim.dim_param) for dim in _dims(value) if not dim.HasField("dim_value")]
    return all(found and batch >= set(found) for found in names)


def _check_doubles(node: NodeProto, types: Mapping[str, int]) -> None:
    for name in (*node.input, *node.output):
        if types.get(name) in _DOUBLES:
            raise InputError(
                f"node {node.name} ({node.op_type}) takes or gives {name} as {TensorProto.DataType.Name(types[name])}, "
                "which engines do not compute in; turn the module's weights and constants to float32"
            )


def _check_product(node: OnnxNode, graph: OnnxGraph, types: Mapping[str, int], islands: Mapping[str, str]) -> None:
    type_: int = types.get(node.outputs[0], TensorProto.UNDEFINED)
    if node.kind not in PRODUCTS or type_ == TensorProto.FLOAT16:
        return
    weights = graph.weights_of(node)
    if (
        type_ in (TensorProto.FLOAT, TensorProto.UNDEFINED)
        and weights
        and all(weight.startswith(tuple(f"{path}." for path in islands)) for weight in weights)
    ):
        return
    name = _TYPE_NAMES.get(type_) or TensorProto.DataType.Name(type_)
    found = f"weights {', '.join(weights)}" if weights else "values that the graph computes"
    raise InputError(
        f"node {node.name} ({node.kind}) multiplies {found} in {name}, in an FP16 plan and outside of its FP32 "
        "islands; let a layer such as nn.Linear or nn.Conv2d hold them, or use --precision fp32"
    )
