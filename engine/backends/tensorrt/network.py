"""A plan's ONNX graph as the library's network, refused where an engine of it could not certify.

Products are convolutions and matrix products, where the time goes. Their precision is read off the network's own
tensors, and which there must be off the ONNX graph.
"""

import math
import re
from collections import Counter
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from purecert.engine.backends.tensorrt.library import Heard
from purecert.engine.errors import BackendError, CheckError, InputError
from purecert.engine.plans.allowed_operators import FORBIDDEN
from purecert.engine.plans.onnx_graph import PRODUCTS, OnnxGraph, OnnxNode, read_graph
from purecert.engine.plans.plan import GraphInput, PlanRecord

_LABEL = "label"
_PRODUCT_LAYERS = frozenset(
    ("CONVOLUTION", "DECONVOLUTION", "MATRIX_MULTIPLY", "EINSUM", "ATTENTION_INPUT", "ATTENTION_OUTPUT", "MOE")
)
_FORBIDDEN_LAYERS = {
    **dict.fromkeys(("LOOP_OUTPUT", "RECURRENCE", "ITERATOR", "TRIP_LIMIT"), "a loop"),
    **dict.fromkeys(("CONDITION", "CONDITIONAL_INPUT", "CONDITIONAL_OUTPUT"), "a condition"),
    **dict.fromkeys(("PLUGIN", "PLUGIN_V2", "PLUGIN_V3"), "a plugin, which is code from elsewhere"),
    **dict.fromkeys(("NON_ZERO", "NMS"), "an output whose shape depends on values"),
    **dict.fromkeys(("KV_CACHE_UPDATE", "DIST_COLLECTIVE"), "a state or a partner outside of the graph"),
}
_DTYPES = {"float32": "FLOAT", "float16": "HALF"}
_FLOATING = frozenset(("FLOAT", "HALF", "BF16", "FP8", "FP4", "INT8", "INT4"))


@dataclass(frozen=True, kw_only=True, slots=True)
class Weight:
    """One weight of the ONNX graph."""

    name: str
    extents: tuple[int, ...]

    @property
    def elements(self) -> int:
        """Return how many numbers it has."""
        return math.prod(self.extents)


@dataclass(frozen=True, kw_only=True, slots=True)
class Product:
    """One convolution or matrix product of the ONNX graph, as the network computes it."""

    node: str  # its name in the ONNX graph
    in_half: bool
    weights: tuple[Weight, ...]  # those it multiplies with; none where it multiplies two values that are computed
    is_fixed: bool  # whether it is the same for every row and every draw, as the embedding of a constant time is


def parse_network(module: ModuleType, builder: Any, logger: Any, heard: Heard, onnx: bytes) -> Any:
    """Return the strongly typed network of an ONNX model: the graph's own types are the engine's.

    Raises:
        InputError: The model is damaged, or a node is one that no plan may hold; the message names the node.
        BackendError: The library cannot parse it; the message names the node.
    """
    refuse_forbidden(read_graph(onnx))
    # TensorRT 11 knows strong typing only, and may drop the flag that asks for it.
    strong = getattr(module.NetworkDefinitionCreationFlag, "STRONGLY_TYPED", None)
    network = builder.create_network(0 if strong is None else 1 << int(strong))
    parser = module.OnnxParser(network, logger)
    if not parser.parse(onnx):
        raise BackendError(f"the library cannot take the plan's graph: {_parser_error(parser, heard)}")
    return network


def refuse_forbidden(graph: OnnxGraph) -> None:
    """Refuse a graph with a node whose work or shape depends on values, that loops or that draws at random.

    Raises:
        InputError: There is one; the message names it.
    """
    for node in graph.nodes:
        if (why := FORBIDDEN.get(node.kind)) is not None:
            raise InputError(f"node {node.name} ({node.kind}) {why}; export a model without it")


def _parser_error(parser: Any, heard: Heard) -> str:
    if parser.num_errors == 0:
        return heard.why()
    error = parser.get_error(0)
    where = f"node {error.node_name()} ({error.node_operator()}): " if error.node_name() else ""
    return f"{where}{' '.join(error.desc().split())}"


def check_network(module: ModuleType, network: Any, onnx: bytes, record: PlanRecord) -> tuple[Product, ...]:
    """Return the products of a parsed ``network``, all of which have the plan's precision.

    In an FP16 plan a product may be in FP32 where its weights belong to a module of ``record.fp32_islands``.

    Raises:
        InputError: Its inputs or outputs are not the plan's, or it holds what no engine may.
        CheckError: A product has another precision; the message names its ONNX node.
    """
    _check_ends(network, record)
    layers = [network.get_layer(index) for index in range(network.num_layers)]
    for layer in layers:
        if (what := _brought(module, layer)) is not None:
            raise InputError(f"node {node_of(layer)} brings {what}; export a model without it")
    found: dict[str, set[str]] = {}
    for layer in layers:
        if layer.type.name in _PRODUCT_LAYERS:
            found.setdefault(node_of(layer), set()).update(_types(layer))
    return _products(found, read_graph(onnx), record)


def _brought(module: ModuleType, layer: Any) -> str | None:
    """Return what a layer brings that no engine may have; a function in the ONNX file hides it from a look there."""
    if layer.type.name != "FILL":
        return _FORBIDDEN_LAYERS.get(layer.type.name)
    layer.__class__ = module.IFillLayer  # networks hand out layers of the base class only
    return "values drawn at random" if layer.operation.name.startswith("RANDOM") else None


def node_of(layer: Any) -> str:
    """Return the name of the ONNX node that a layer of the network stands for; its own name where it says none."""
    named = re.search(r"\[ONNX Layer: ([^\]]*)\]", layer.metadata or "")
    return named[1] if named else str(layer.name)


def _check_ends(network: Any, record: PlanRecord) -> None:
    inputs = [_described(network.get_input(index)) for index in range(network.num_inputs)]
    outputs = [_described(network.get_output(index)) for index in range(network.num_outputs)]
    expected = [_expected(entry) for entry in record.inputs]
    if sorted(inputs) != sorted(expected):
        raise InputError(f"expected the graph's inputs {expected} (plan.json), found {inputs}; export the plan again")
    if outputs != [f"{_LABEL} INT32 of -1"]:
        raise InputError(f"expected the graph's only output {_LABEL} INT32 of -1, found {outputs}; export it again")


def _described(tensor: Any) -> str:
    return f"{tensor.name} {tensor.dtype.name} of {'x'.join(str(size) for size in tuple(tensor.shape))}"


def _expected(entry: GraphInput) -> str:
    return f"{entry.name} {_DTYPES[entry.dtype]} of {'x'.join(str(size) for size in (-1, *entry.shape))}"


def _types(layer: Any) -> set[str]:
    """Return the floating (or quantised) types that a layer reads and writes."""
    inputs = [layer.get_input(index) for index in range(layer.num_inputs)]
    tensors = [*inputs, *(layer.get_output(index) for index in range(layer.num_outputs))]
    return {name for tensor in tensors if tensor is not None and (name := tensor.dtype.name) in _FLOATING}


def _products(found: dict[str, set[str]], graph: OnnxGraph, record: PlanRecord) -> tuple[Product, ...]:
    nodes = {node.name: node for node in graph.nodes}
    repeated = [name for name, count in Counter(node.name for node in graph.nodes).items() if count > 1]
    for node in graph.nodes:
        if node.kind in PRODUCTS and (not node.name or node.name in repeated or node.name not in found):
            raise InputError(
                f"node {node.name or node.outputs} ({node.kind}) cannot be followed into the network: expected a name "
                "of its own and a product; export the plan again"
            )
    varying = graph.varying()
    products = []
    for name, types in found.items():
        found_node = nodes.get(name)
        is_fixed = found_node is not None and varying.isdisjoint(found_node.inputs)
        products.append(_product(found_node, name, types, graph, record, is_fixed=is_fixed))
    return tuple(products)


def _product(
    node: OnnxNode | None, name: str, types: set[str], graph: OnnxGraph, record: PlanRecord, *, is_fixed: bool
) -> Product:
    weights = graph.weights_of(node) if node else ()
    islands = tuple(f"{path}." for path in record.fp32_islands)
    is_island = bool(weights) and all(weight.startswith(islands) for weight in weights)
    allowed = ["FLOAT"] if record.precision == "fp32" else ["HALF", "FLOAT"] if is_island else ["HALF"]
    if len(types) != 1 or not types <= set(allowed):
        raise CheckError(
            f"node {name} multiplies in {' and '.join(sorted(types)) or 'no type'}, expected {' or '.join(allowed)}: "
            f"the plan is {record.precision} and declares no island there; export the plan again"
        )
    held = tuple(Weight(name=weight, extents=graph.weights[weight]) for weight in weights)
    return Product(node=name, in_half=types == {"HALF"}, weights=held, is_fixed=is_fixed)
