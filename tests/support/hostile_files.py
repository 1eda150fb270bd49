"""Files that are no well-formed model, or that readers read in different ways, each with words of its refusal."""

from collections.abc import Callable, Mapping

from purecert.engine.plans.allowed_operators import MAX_NODES
from purecert.engine.plans.protocol_buffers import field
from support.hostile_graphs import model


def _rewritten(*parts: bytes) -> bytes:
    return bytes(model().SerializeToString()) + b"".join(parts)


_GROUP = field(7, field(2, b"second"))
# What it is -> the bytes, and words of the refusal.
FILES: Mapping[str, tuple[Callable[[], bytes], str]] = {
    "a number without end": (lambda: b"\x08" + b"\xff" * 4096, "more than 64 bits"),
    "a number cut off": (lambda: b"\x08\xff", "index out of"),
    "a length without end": (lambda: b"\x3a" + b"\xff" * 9 + b"\x01", "past the end"),
    "groups in groups": (lambda: b"\x3b" * 100_000, "wire type 3"),
    "graphs in graphs": (lambda: _nested(20_000), "domains"),
    "two graphs": (lambda: _rewritten(_GROUP), "field 7 of a model comes twice"),
    "two versions": (lambda: _rewritten(field(1, 10)), "field 1 of a model comes twice"),
    "an unknown field": (lambda: _rewritten(field(99, b"x")), "unknown field 99"),
    "a field of another kind": (lambda: field(7, 1), "wire type 0"),
    "a hundred thousand nodes": (lambda: field(1, 10) + _opset() + field(7, field(1, b"") * (MAX_NODES + 1)), "nodes"),
    "half of a model": (lambda: _rewritten()[: len(_rewritten()) // 2], "past the end|nodes|outputs|domains"),
    "nothing": (lambda: b"", "IR version 0"),
    "zeros": (lambda: bytes(2**20), "field 0"),
}


def _opset() -> bytes:
    return field(8, field(2, 20))


def _nested(depth: int) -> bytes:
    content = b""
    for _ in range(depth):
        content = field(7, content)
    return field(1, 10) + content
