"""One more output on an ONNX graph, without the onnx package.

Protocol Buffers merge a message that occurs twice, and append its repeated fields. So a model followed by a model
that holds nothing but ``graph { output { name } }`` is the first model with that output added.
"""

_MODEL_GRAPH = 7  # ModelProto.graph
_GRAPH_OUTPUT = 12  # GraphProto.output
_VALUE_NAME = 1  # ValueInfoProto.name
_LENGTH_DELIMITED = 2


def with_output(model: bytes, name: str) -> bytes:
    """Return the ONNX ``model`` with its inner value ``name`` as one more output."""
    return model + _field(_MODEL_GRAPH, _field(_GRAPH_OUTPUT, _field(_VALUE_NAME, name.encode())))


def _field(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | _LENGTH_DELIMITED) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    groups = [value >> shift & 0x7F for shift in range(0, max(value.bit_length(), 1), 7)]
    return bytes([*(group | 0x80 for group in groups[:-1]), groups[-1]])
