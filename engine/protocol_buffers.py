"""The bytes of Protocol Buffers messages, as far as an ONNX file needs them."""

_VARINT, _LENGTH_DELIMITED = 0, 2


def field(number: int, content: bytes | int) -> bytes:
    """Return field ``number`` of a message: a text or inner message as bytes, or an integer of at least 0."""
    if isinstance(content, int):
        return varint(number << 3 | _VARINT) + varint(content)
    return varint(number << 3 | _LENGTH_DELIMITED) + varint(len(content)) + content


def varint(value: int) -> bytes:
    """Return an integer of at least 0, seven bits a byte."""
    groups = [value >> shift & 0x7F for shift in range(0, max(value.bit_length(), 1), 7)]
    return bytes([*(group | 0x80 for group in groups[:-1]), groups[-1]])
