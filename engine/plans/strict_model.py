"""An ONNX model as a plan may have it: read field by field, with nothing in it that is not looked at."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any, TypeVar

import numpy as np

from purecert.engine.plans import message_forms as forms
from purecert.engine.plans.allowed_operators import (
    DOMAINS,
    IR_VERSIONS,
    MAX_FILE_BYTES,
    MAX_NODES,
    MAX_RANK,
    OPSETS,
    TEXT_ATTRIBUTES,
    TYPE_BYTES,
)
from purecert.engine.plans.message_forms import FormReader, Message, contents, integer, integers, text, texts
from purecert.engine.plans.protocol_buffers import numbers

_FLOAT, _INT32, _INT64 = 1, 6, 7  # TensorProto.DataType
_NUMPY: dict[int, np.dtype[Any]] = {_FLOAT: np.dtype("<f4"), _INT32: np.dtype("<i4"), _INT64: np.dtype("<i8")}
_FEW = 64  # numbers that can be sizes: a shape, or what it is computed from
_FLOAT_DATA, _INT32_DATA, _INT64_DATA, _RAW_DATA, _DOUBLE_DATA, _UINT64_DATA = 4, 5, 7, 9, 10, 11
_DATA = (_FLOAT_DATA, _INT32_DATA, _INT64_DATA, _RAW_DATA, _DOUBLE_DATA, _UINT64_DATA)
# TensorProto.DataType -> the typed field of its numbers; int32_data has those of all other types.
_TYPED = {_FLOAT: _FLOAT_DATA, _INT64: _INT64_DATA, 11: _DOUBLE_DATA, 12: _UINT64_DATA, 13: _UINT64_DATA}
_FIXED_BYTES = {_FLOAT_DATA: 4, _DOUBLE_DATA: 8}
# AttributeProto.AttributeType -> the field of its value.
_ATTRIBUTE_FIELDS = {1: 2, 2: 3, 3: 4, 4: 5, 6: 7, 7: 8}
_TEXT, _TENSOR, _LISTS, _INTEGERS = 4, 5, (7, 8), (3, 8)

Named = TypeVar("Named")


@dataclass(frozen=True, kw_only=True, slots=True)
class Tensor:
    """A constant: its type and extents, and its numbers where they are few and can be sizes."""

    kind: int
    shape: tuple[int, ...]
    numbers: tuple[float, ...] | None  # in row-major order; integers of 32 or 64 bits, or FP32

    @property
    def elements(self) -> int:
        """Return how many numbers it has."""
        return prod(self.shape)


@dataclass(frozen=True, kw_only=True, slots=True)
class End:
    """An input or output of the graph as declared: its element type, and sizes or the names of open dimensions."""

    kind: int
    shape: tuple[int | str, ...] | None


Attribute = float | str | Tensor | tuple[float, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class StrictNode:
    """One node with its attributes."""

    name: str
    kind: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Attribute]


@dataclass(frozen=True, kw_only=True, slots=True)
class StrictModel:
    """The graph of a model, in the order in which it is computed."""

    nodes: tuple[StrictNode, ...]
    constants: Mapping[str, Tensor]
    inputs: Mapping[str, End]
    outputs: Mapping[str, End]


def read_strictly(content: bytes) -> StrictModel:
    """Return the graph of the ONNX model ``content``, whose weights are not copied.

    Raises:
        ValueError: It is no model, or one with a part that no plan may have; the message says which.
        IndexError: The bytes end within a number.
    """
    reader = FormReader(len(content))
    model = reader.read(memoryview(content), forms.MODEL)
    _check_versions(reader, model)
    if 7 not in model:
        raise ValueError("no graph")
    graph = reader.read(contents(model, 7)[0], forms.GRAPH)
    nodes = contents(graph, 1)
    if not 1 <= len(nodes) <= MAX_NODES:
        raise ValueError(f"{len(nodes)} nodes, where 1 to {MAX_NODES} are expected")
    _named("value", (_end(reader, value) for value in contents(graph, 13)))  # of types that a plan may have
    return StrictModel(
        nodes=tuple(_node(reader, node) for node in nodes),
        constants=_named("initializer", (_tensor(reader, tensor) for tensor in contents(graph, 5))),
        inputs=_named("input", (_end(reader, value) for value in contents(graph, 11))),
        outputs=_named("output", (_end(reader, value) for value in contents(graph, 12))),
    )


def _check_versions(reader: FormReader, model: Message) -> None:
    if (version := integer(model, 1)) not in IR_VERSIONS:
        raise ValueError(f"IR version {version}, where {IR_VERSIONS[0]} to {IR_VERSIONS[-1]} are expected")
    opsets = [reader.read(content, forms.OPSET) for content in contents(model, 8)]
    domains = [text(opset, 1) for opset in opsets]
    if len(domains) != 1 or domains[0] not in DOMAINS:
        raise ValueError(f"operators of the domains {domains[:8]}, where ONNX's own alone is expected")
    if (version := integer(opsets[0], 2)) not in OPSETS:
        raise ValueError(f"opset {version}, where {OPSETS[0]} to {OPSETS[-1]} are expected")


def _named(what: str, pairs: Iterable[tuple[str, Named]]) -> dict[str, Named]:
    found: dict[str, Named] = {}
    for name, value in pairs:
        if not name or name in found:
            raise ValueError(f"{f'two of the {what}' if name else f'an {what} without a name'} {name!r}".strip())
        found[name] = value
    return found


def _node(reader: FormReader, content: memoryview) -> StrictNode:
    node = reader.read(content, forms.NODE)
    kind, name, domain = text(node, 4), text(node, 3), text(node, 7)
    if domain not in DOMAINS:
        raise ValueError(f"node {name!r} of {domain}::{kind}, which is none of ONNX's own operators")
    try:
        attributes = _named("attribute", (_attribute(reader, entry) for entry in contents(node, 5)))
    except ValueError as error:
        shown = name or "of " + ", ".join(texts(node, 2)[:2])
        raise ValueError(f"node {shown[:200]!r} ({kind[:80]}): {error}") from error
    return StrictNode(name=name, kind=kind, inputs=texts(node, 1), outputs=texts(node, 2), attributes=attributes)


def _attribute(reader: FormReader, content: memoryview) -> tuple[str, Attribute]:
    attribute = reader.read(content, forms.ATTRIBUTE)
    name, kind = text(attribute, 1), integer(attribute, 20)
    held = set(attribute) & set(_ATTRIBUTE_FIELDS.values())
    number = _ATTRIBUTE_FIELDS.get(kind)
    if number is None or not held <= {number} or (not held and number not in _LISTS):
        raise ValueError(f"attribute {name!r} of type {kind} and fields {sorted(held)}, which is no number or tensor")
    return name, _attribute_value(reader, attribute, number, name)


def _attribute_value(reader: FormReader, attribute: Message, number: int, name: str) -> Attribute:
    if number == _TEXT:
        if name not in TEXT_ATTRIBUTES:
            raise ValueError(f"attribute {name!r}, which is text")
        return text(attribute, number)
    if number == _TENSOR:
        return _tensor(reader, contents(attribute, number)[0])[1]
    if number in _INTEGERS:
        found: tuple[float, ...] = integers(attribute, number)
    else:
        found = tuple(float(np.frombuffer(value, "<f4")[0]) for value in contents(attribute, number))
    return found if number in _LISTS else found[0]


def _tensor(reader: FormReader, content: memoryview) -> tuple[str, Tensor]:
    tensor = reader.read(content, forms.TENSOR)
    name, kind, shape = text(tensor, 8), integer(tensor, 2), integers(tensor, 1)
    if kind not in TYPE_BYTES:
        raise ValueError(f"tensor {name!r} of type {kind}, which is not a plain number")
    if len(shape) > MAX_RANK or any(not 0 <= size <= MAX_FILE_BYTES for size in shape):
        raise ValueError(f"tensor {name!r} of impossible shape {list(shape[:MAX_RANK])}")
    if integer(tensor, 14) != 0:
        raise ValueError(f"tensor {name!r} with its weights in another file")
    held = [number for number in _DATA if number in tensor]
    if len(held) > 1:
        raise ValueError(f"tensor {name!r} stored twice, in fields {held}")
    if any(number not in (_RAW_DATA, _TYPED.get(kind, _INT32_DATA)) for number in held):
        raise ValueError(f"tensor {name!r} of type {kind} stored in field {held[0]}")
    data = contents(tensor, held[0])[0] if held else memoryview(b"")
    found = _count(data, held[0] if held else _RAW_DATA, TYPE_BYTES[kind])
    if found != prod(shape):
        raise ValueError(f"tensor {name!r} of shape {list(shape)} with {found:g} numbers")
    return name, Tensor(kind=kind, shape=shape, numbers=_few(data, held[0] if held else _RAW_DATA, kind))


def _count(data: memoryview, number: int, element_bytes: int) -> float:
    """Return how many numbers a field of a tensor holds, a fraction where the last one is cut."""
    if number in (_RAW_DATA, *_FIXED_BYTES):
        return len(data) / _FIXED_BYTES.get(number, element_bytes)
    if data and data[-1] >= 0x80:
        raise ValueError("a tensor that ends within a number")
    return int(np.count_nonzero(np.frombuffer(data, np.uint8) < 0x80))


def _few(data: memoryview, number: int, kind: int) -> tuple[float, ...] | None:
    if kind not in _NUMPY or len(data) > _FEW * 10:
        return None
    if number in (_INT32_DATA, _INT64_DATA):
        half = 2 ** (31 if kind == _INT32 else 63)
        return tuple((value + half) % (2 * half) - half for value in numbers(data))
    return tuple(np.frombuffer(data, _NUMPY[kind]).tolist())


def _end(reader: FormReader, content: memoryview) -> tuple[str, End]:
    value = reader.read(content, forms.VALUE)
    name = text(value, 1)
    described = [reader.read(entry, forms.TYPE) for entry in contents(value, 2)]
    tensors = [reader.read(entry, forms.TENSOR_TYPE) for one in described for entry in contents(one, 1)]
    if not tensors:
        raise ValueError(f"value {name!r} of no tensor type")
    if (kind := integer(tensors[0], 1)) not in TYPE_BYTES:
        raise ValueError(f"value {name!r} of type {kind}, which is not a plain number")
    shapes = [reader.read(entry, forms.SHAPE) for entry in contents(tensors[0], 2)]
    shape = tuple(_dimension(reader, entry) for entry in contents(shapes[0], 1)) if shapes else None
    return name, End(kind=kind, shape=shape)


def _dimension(reader: FormReader, content: memoryview) -> int | str:
    dimension = reader.read(content, forms.DIMENSION)
    if 1 in dimension and 2 in dimension:
        raise ValueError("a dimension with a size and a name")
    return integer(dimension, 1) if 1 in dimension else text(dimension, 2)
