"""Which nodes an ONNX graph has and which weights they take, without the onnx package.

An engine is checked against this list and not against what the library made of the graph.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from purecert.engine.errors import InputError
from purecert.engine.plans.protocol_buffers import fields, messages, numbers

PRODUCTS = frozenset(
    ("Conv", "ConvTranspose", "ConvInteger", "QLinearConv", "DeformConv", "MatMul", "MatMulInteger", "QLinearMatMul")
) | {"Gemm", "Einsum", "Attention"}
# Nodes that pass weights on, in another shape or type at most.
_PASS_ON = frozenset(("Cast", "Transpose", "Reshape", "Identity", "Squeeze", "Unsqueeze", "Expand"))

# Nodes that give the extents of a value, not what is in it.
_EXTENTS_OF = frozenset(("Shape", "Size"))

_MODEL_GRAPH = 7
_GRAPH_NODE, _GRAPH_INITIALIZER = 1, 5
_NODE_INPUT, _NODE_OUTPUT, _NODE_NAME, _NODE_TYPE, _NODE_DOMAIN = 1, 2, 3, 4, 7
_TENSOR_DIMS, _TENSOR_NAME = 1, 8
_GRAPH_INPUT, _VALUE_NAME = 11, 1


@dataclass(frozen=True, kw_only=True, slots=True)
class OnnxNode:
    """One node: its name, its operator, and the names of its inputs and outputs."""

    name: str
    kind: str
    domain: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class OnnxGraph:
    """The nodes of a model's graph, the names of its inputs, and the extents of its weights by their names."""

    nodes: tuple[OnnxNode, ...]
    inputs: frozenset[str]
    weights: Mapping[str, tuple[int, ...]]

    def weights_of(self, node: OnnxNode) -> tuple[str, ...]:
        """Return the weights that a product multiplies with, biases left out."""
        makers = {output: maker for maker in self.nodes for output in maker.outputs}
        return tuple(name for value in node.inputs[:2] if (name := self._weight(value, makers)))

    def varying(self) -> frozenset[str]:
        """Return the values that depend on what is in the graph's inputs, not on weights and the batch alone.

        The nodes stand in the order in which they are computed, as ONNX asks for.
        """
        found = set(self.inputs - self.weights.keys())
        for node in self.nodes:
            if node.kind not in _EXTENTS_OF and not found.isdisjoint(node.inputs):
                found.update(node.outputs)
        return frozenset(found)

    def _weight(self, value: str, makers: dict[str, OnnxNode]) -> str | None:
        seen: set[str] = set()
        while value not in self.weights:
            maker = makers.get(value)
            if maker is None or maker.kind not in _PASS_ON or value in seen:
                return None
            seen.add(value)
            value = maker.inputs[0]
        return value


def read_graph(model: bytes) -> OnnxGraph:
    """Return the nodes, the inputs' names and the weights of an ONNX ``model``.

    Raises:
        InputError: The bytes are no ONNX model.
    """
    nodes: list[OnnxNode] = []
    inputs: list[str] = []
    weights: dict[str, tuple[int, ...]] = {}
    try:
        for graph in messages(memoryview(model), _MODEL_GRAPH):
            for number, content in fields(graph):
                if number == _GRAPH_NODE:
                    nodes.append(_node(content))
                elif number == _GRAPH_INITIALIZER:
                    weights |= _weight(content)
                elif number == _GRAPH_INPUT:
                    inputs += [bytes(name).decode() for name in messages(content, _VALUE_NAME)]
    except (ValueError, IndexError) as error:
        raise InputError(f"expected an ONNX model, found damaged bytes ({error}); export the plan again") from error
    if not nodes:
        raise InputError("expected an ONNX model, found no node in it; export the plan again")
    return OnnxGraph(nodes=tuple(nodes), inputs=frozenset(inputs), weights=weights)


def _weight(content: memoryview) -> dict[str, tuple[int, ...]]:
    """Return the extents of one weight under its name."""
    names = [bytes(name).decode() for name in messages(content, _TENSOR_NAME)]
    # Repeated numbers come one a field or packed into one field.
    extents = tuple(extent for dims in messages(content, _TENSOR_DIMS) for extent in numbers(dims))
    return dict.fromkeys(names, extents)


def _node(content: memoryview) -> OnnxNode:
    texts: dict[int, list[str]] = {}
    for number, value in fields(content):
        if number in (_NODE_INPUT, _NODE_OUTPUT, _NODE_NAME, _NODE_TYPE, _NODE_DOMAIN):
            texts.setdefault(number, []).append(bytes(value).decode())
    name, kind, domain = (texts.get(number, [""])[-1] for number in (_NODE_NAME, _NODE_TYPE, _NODE_DOMAIN))
    inputs, outputs = (tuple(texts.get(number, ())) for number in (_NODE_INPUT, _NODE_OUTPUT))
    return OnnxNode(name=name, kind=kind, domain=domain, inputs=inputs, outputs=outputs)
