"""The bytes of Protocol Buffers messages, written and read, as far as an ONNX file needs them.

A message is a row of fields, each a key (number and wire type) and a value.
"""

from collections.abc import Iterator

# How the value of a field is written. Plain integers: they are compared for every field of a model.
VARINT, FIXED64, LENGTH_DELIMITED, FIXED32 = 0, 1, 2, 5
_FIXED = {FIXED32: 4, FIXED64: 8}
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
        return varint(number << 3 | VARINT) + varint(content)
    return varint(number << 3 | LENGTH_DELIMITED) + varint(len(content)) + content


def varint(value: int) -> bytes:
    """Return an integer of at least 0, seven bits a byte."""
    groups = [value >> shift & 0x7F for shift in range(0, max(value.bit_length(), 1), 7)]
    return bytes([*(group | 0x80 for group in groups[:-1]), groups[-1]])


def messages(content: memoryview, wanted: int) -> Iterator[memoryview]:
    """Yield the bytes of every field ``wanted`` of a message; as ``fields``."""
    return (value for number, value in fields(content) if number == wanted)


def fields(content: memoryview) -> Iterator[tuple[int, memoryview]]:
    """Yield the number and the bytes of every field of a message; whole numbers as they are written.

    Raises:
        ValueError: The bytes are no message.
        IndexError: They end within a number.
    """
    for number, _, value in typed_fields(content):
        yield number, memoryview(varint(value)) if isinstance(value, int) else value


def typed_fields(content: memoryview) -> Iterator[tuple[int, int, int | memoryview]]:
    """Yield number, wire type and value of every field of a message: an integer of 0 to 2**64 - 1, or the bytes.

    Raises:
        ValueError: The bytes are no message.
        IndexError: They end within a number.
    """
    at, end = 0, len(content)
    while at < end:
        key, at = _read_varint(content, at)
        kind = key & 7
        if not 8 <= key < 2**32:
            raise ValueError(f"field {key >> 3}")
        if kind == VARINT:
            number, at = _read_varint(content, at)
            yield key >> 3, VARINT, number
            continue
        if kind == LENGTH_DELIMITED:
            size, at = _read_varint(content, at)
        elif kind in _FIXED:
            size = _FIXED[kind]
        else:
            raise ValueError(f"wire type {kind}")
        if at + size > end:
            raise ValueError("a field goes past the end")
        yield key >> 3, kind, content[at : at + size]
        at += size


def numbers(content: memoryview) -> Iterator[int]:
    """Yield the integers of a packed field; as ``fields``."""
    at = 0
    while at < len(content):
        number, at = _read_varint(content, at)
        yield number


def _read_varint(content: memoryview, at: int) -> tuple[int, int]:
    byte = content[at]
    if byte < 0x80:
        return byte, at + 1
    value, shift = byte & 0x7F, 7
    while True:
        at += 1
        byte = content[at]
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            break
        shift += 7
        if shift > 63:
            raise ValueError("a number of more than 64 bits")
    if value >= 2**64:
        raise ValueError("a number of more than 64 bits")
    return value, at + 1
