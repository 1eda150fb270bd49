"""The bytes of Protocol Buffers messages, written and read, as far as an ONNX file needs them.

A message is a row of fields, each a key (number and wire type) and a value.
"""

from collections.abc import Iterator

_VARINT, _FIXED64, _LENGTH_DELIMITED, _FIXED32 = 0, 1, 2, 5  # wire types
_MODEL_GRAPH, _GRAPH_OUTPUT, _VALUE_NAME = 7, 12, 1  # ModelProto.graph, GraphProto.output, ValueInfoProto.name


def with_output(model: bytes, name: str) -> bytes:
    """Return the ONNX ``model`` with its inner value ``name`` as one more output.

    Protocol Buffers merge a message that occurs twice, and append its repeated fields. So a model followed by a model
    that holds nothing but ``graph { output { name } }`` is the first model with that output added.
    """
    return model + field(_MODEL_GRAPH, field(_GRAPH_OUTPUT, field(_VALUE_NAME, name.encode())))


def field(number: int, content: bytes | int) -> bytes:
    """Return field ``number`` of a message: a text or inner message as bytes, or an integer of at least 0."""
    if isinstance(content, int):
        return varint(number << 3 | _VARINT) + varint(content)
    return varint(number << 3 | _LENGTH_DELIMITED) + varint(len(content)) + content


def varint(value: int) -> bytes:
    """Return an integer of at least 0, seven bits a byte."""
    groups = [value >> shift & 0x7F for shift in range(0, max(value.bit_length(), 1), 7)]
    return bytes([*(group | 0x80 for group in groups[:-1]), groups[-1]])


def messages(content: memoryview, wanted: int) -> Iterator[memoryview]:
    """Yield the bytes of every field ``wanted`` of a message; as ``fields``."""
    return (value for number, value in fields(content) if number == wanted)


def fields(content: memoryview) -> Iterator[tuple[int, memoryview]]:
    """Yield the number and the bytes of every field of a message; whole numbers as they are written, others as none.

    Raises:
        ValueError: The bytes are no message.
        IndexError: They end within a number.
    """
    at = 0
    while at < len(content):
        key, at = _read_varint(content, at)
        size = 0
        if key & 7 == _VARINT:
            size = _read_varint(content, at)[1] - at
        elif key & 7 == _LENGTH_DELIMITED:
            size, at = _read_varint(content, at)
        elif key & 7 in (_FIXED32, _FIXED64):
            at += 4 if key & 7 == _FIXED32 else 8
        else:
            raise ValueError(f"wire type {key & 7}")
        if at + size > len(content):
            raise ValueError("a field goes past the end")
        yield key >> 3, content[at : at + size]
        at += size


def numbers(content: memoryview) -> Iterator[int]:
    """Yield the integers of a packed field; as ``fields``."""
    at = 0
    while at < len(content):
        number, at = _read_varint(content, at)
        yield number


def _read_varint(content: memoryview, at: int) -> tuple[int, int]:
    value, shift = 0, 0
    while True:
        byte = content[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
        if shift > 63:
            raise ValueError("a number of more than 64 bits")
