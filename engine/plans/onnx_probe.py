"""One more output on an ONNX graph, without the onnx package.

Protocol Buffers merge a message that occurs twice, and append its repeated fields. So a model followed by a model
that holds nothing but ``graph { output { name } }`` is the first model with that output added.
"""

from purecert.engine.plans.protocol_buffers import field

_MODEL_GRAPH = 7  # ModelProto.graph
_GRAPH_OUTPUT = 12  # GraphProto.output
_VALUE_NAME = 1  # ValueInfoProto.name


def with_output(model: bytes, name: str) -> bytes:
    """Return the ONNX ``model`` with its inner value ``name`` as one more output."""
    return model + field(_MODEL_GRAPH, field(_GRAPH_OUTPUT, field(_VALUE_NAME, name.encode())))
