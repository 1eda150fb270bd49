"""Which fields each message of an ONNX model may have, and messages read by that alone.

Readers differ in what they do with a field that is unknown, comes twice, or is of another type than it should be. All
of these are refused, so that a runtime reads what was checked.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from purecert.engine.plans.allowed_operators import BYTES_A_FIELD, LEAST_FIELDS, MAX_FIELDS, MAX_NAME_BYTES
from purecert.engine.plans.protocol_buffers import FIXED32, LENGTH_DELIMITED, VARINT, numbers, typed_fields

Message = dict[int, list[int | memoryview]]

_V, _L, _F = VARINT, LENGTH_DELIMITED, FIXED32


@dataclass(frozen=True, kw_only=True, slots=True)
class Form:
    """The fields of one message by their numbers: those that may come once, or often, and names of those refused."""

    name: str
    once: Mapping[int, int]
    often: Mapping[int, int] = field(default_factory=dict)
    refused: Mapping[int, str] = field(default_factory=dict)


MODEL = Form(
    name="model",
    once={1: _V, 2: _L, 3: _L, 4: _L, 5: _V, 6: _L, 7: _L},
    often={8: _L, 14: _L},
    refused={20: "training information", 25: "a function", 26: "a device configuration"},
)
GRAPH = Form(
    name="graph",
    once={2: _L, 10: _L},
    often={1: _L, 5: _L, 11: _L, 12: _L, 13: _L, 16: _L},
    refused={14: "a quantisation annotation", 15: "a sparse initializer"},
)
NODE = Form(
    name="node",
    once={3: _L, 4: _L, 6: _L, 7: _L},
    often={1: _L, 2: _L, 5: _L, 9: _L},
    refused={8: "an overload of a function", 10: "a device configuration"},
)
ATTRIBUTE = Form(
    name="attribute",
    once={1: _L, 2: _F, 3: _V, 4: _L, 5: _L, 13: _L, 20: _V},
    often={7: _F, 8: _V},
    refused={
        **dict.fromkeys((6, 11), "a subgraph"),
        9: "a list of texts",
        10: "a list of tensors",
        **dict.fromkeys((14, 15), "a type"),
        21: "a reference to a function's attribute",
        **dict.fromkeys((22, 23), "a sparse tensor"),
    },
)
# The numbers of a tensor: raw, or in one packed field of their type. They are never read one by one.
TENSOR = Form(
    name="tensor",
    once={2: _V, **dict.fromkeys((4, 5, 7, 8, 9, 10, 11, 12), _L), 14: _V},
    often={1: _V},
    refused={3: "a segment", 6: "texts", 13: "weights in another file", 16: "properties"},
)
VALUE = Form(name="value", once={1: _L, 2: _L, 3: _L}, often={4: _L})
TYPE = Form(
    name="type",
    once={1: _L, 6: _L},
    refused={4: "a sequence", 5: "a map", 7: "an opaque type", 8: "a sparse tensor", 9: "an optional value"},
)
TENSOR_TYPE = Form(name="tensor type", once={1: _V, 2: _L})
SHAPE = Form(name="shape", once={}, often={1: _L})
DIMENSION = Form(name="dimension", once={1: _V, 2: _L, 3: _L})
OPSET = Form(name="opset", once={1: _L, 2: _V})


class FormReader:
    """Reads messages by their forms, as many fields in all as a model of its size may have."""

    def __init__(self, size: int) -> None:
        self._limit = self._left = min(MAX_FIELDS, LEAST_FIELDS + size // BYTES_A_FIELD)

    def read(self, content: memoryview, form: Form) -> Message:
        """Return the values of a message's fields by their numbers; integers are signed, of 64 bits.

        Raises:
            ValueError: The bytes are no such message, or are none that a plan may have.
            IndexError: They end within a number.
        """
        found: Message = {}
        for number, wire, value in typed_fields(content):
            self._count(1)
            values = found.setdefault(number, [])
            expected = form.often.get(number)
            if expected is None:
                expected = form.once.get(number)
                if expected is None or values:
                    raise ValueError(_problem(form, number, twice=bool(values)))
            if wire == expected:
                values.append(_signed(value) if isinstance(value, int) else value)
            elif wire == LENGTH_DELIMITED and number in form.often and isinstance(value, memoryview):
                values += self._packed(value, expected)
            else:
                raise ValueError(f"field {number} of a {form.name} has wire type {wire}, expected {expected}")
        return found

    def _packed(self, value: memoryview, wire: int) -> list[int | memoryview]:
        unpacked: list[int | memoryview] = []
        if wire == FIXED32:
            unpacked = [value[at : at + 4] for at in range(0, self._count(len(value) // 4) * 4, 4)]
            if len(value) % 4:
                raise ValueError("a list of floats ends within one")
        else:
            for number in numbers(value):
                self._count(1)
                unpacked.append(_signed(number))
        return unpacked

    def _count(self, fields: int) -> int:
        self._left -= fields
        if self._left < 0:
            raise ValueError(f"more than {self._limit} fields beside the weights")
        return fields


def _problem(form: Form, number: int, *, twice: bool) -> str:
    if twice:
        return f"field {number} of a {form.name} comes twice"
    article = "an" if form.name[0] in "aeiou" else "a"
    return f"{article} {form.name} holds {form.refused.get(number, f'the unknown field {number}')}"


def _signed(value: int) -> int:
    return value - 2**64 if value >= 2**63 else value


def integer(message: Message, number: int, default: int = 0) -> int:
    """Return the integer ``number`` of a message, or ``default``."""
    (value,) = message.get(number, [default])
    assert isinstance(value, int)  # as its form says
    return value


def integers(message: Message, number: int) -> tuple[int, ...]:
    """Return the integers ``number`` of a message."""
    return tuple(value for value in message.get(number, []) if isinstance(value, int))


def contents(message: Message, number: int) -> list[memoryview]:
    """Return the bytes of every field ``number`` of a message."""
    return [value for value in message.get(number, []) if isinstance(value, memoryview)]


def texts(message: Message, number: int) -> tuple[str, ...]:
    """Return the texts ``number`` of a message.

    Raises:
        ValueError: One is no UTF-8, holds what no line can show, or is longer than ``MAX_NAME_BYTES``.
    """
    return tuple(_text(value) for value in contents(message, number))


def text(message: Message, number: int) -> str:
    """Return the text ``number`` of a message, empty where there is none; raises as ``texts``."""
    return next(iter(texts(message, number)), "")


def _text(content: memoryview) -> str:
    if len(content) > MAX_NAME_BYTES:
        raise ValueError(f"a text of {len(content)} bytes, where at most {MAX_NAME_BYTES} are expected")
    found = bytes(content).decode()
    if not found.isprintable():
        raise ValueError(f"the text {found[:100]!a}, which no line can show")
    return found
