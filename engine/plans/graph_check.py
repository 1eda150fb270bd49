"""Whether a plan's graph is one that a runtime may open: its operators, its forms, its sizes and its ends.

Nothing is run and no other file is opened. A graph passes if its bytes are read in full (``strict_model.py``), its
operators are on the list (``allowed_operators.py``), the size of every value follows from the batch (``shapes/``), and
its label is the place of the largest of the logits that the plan names (``label_check.py``).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from purecert.engine.errors import InputError, one_line
from purecert.engine.plans.allowed_operators import (
    FOLDED_PER_STORED,
    FOLDED_WORK,
    FORBIDDEN,
    MAX_ALIVE,
    MAX_FOLDED,
    MAX_RANK,
    MAX_WORK,
    OPERATORS,
    ROWS,
)
from purecert.engine.plans.bounds.finite_values import are_finite, has_quantisers
from purecert.engine.plans.label_check import LABEL, check_label
from purecert.engine.plans.shapes.extents import BATCH, Extent, Shape, Value, elements, fixed, is_size
from purecert.engine.plans.shapes.numbers import numbers_of, numbers_of_tensor
from purecert.engine.plans.shapes.reading import Call
from purecert.engine.plans.shapes.rules import shapes_of, work_of
from purecert.engine.plans.strict_model import End, StrictModel, StrictNode, Tensor, read_strictly

_BATCH = "batch"  # the name of the open dimension (plan.py)
_KINDS = {"float32": 1, "int32": 6, "float16": 10}  # TensorProto.DataType
# Nodes that read sizes, not what is in a value.
_OF_SIZES = ("Shape", "Size")


@dataclass(frozen=True, kw_only=True, slots=True)
class ExpectedEnds:
    """What plan.json says of a graph's inputs and outputs."""

    inputs: Mapping[str, tuple[str, tuple[int, ...]]]  # name -> element type, sizes of a row
    logits: str | None
    classes: int


def check_graph(content: bytes, ends: ExpectedEnds) -> None:
    """Refuse an ONNX model that no plan may hold, in time that grows with its nodes and not with its weights.

    Raises:
        InputError: It is damaged, holds what is not on the list, asks for more than the bounds allow, or has other
            inputs or outputs than ``ends``.
    """
    shapes_in(content, ends)


def shapes_in(content: bytes, ends: ExpectedEnds) -> dict[str, Shape]:
    """Return the shape of every value of a model that passes; as ``check_graph``."""
    return _checked(content, ends)[1]


def is_finite_inside(content: bytes, ends: ExpectedEnds) -> bool:
    """Return whether a bound shows every value finite of a model that passes; raises as ``check_graph``."""
    model, shapes = _checked(content, ends)
    return are_finite(content, model, shapes)


def _checked(content: bytes, ends: ExpectedEnds) -> tuple[StrictModel, dict[str, Shape]]:
    try:
        model = read_strictly(content)
        _check_inputs(model, ends)
        values = _Walk(model, ends).run()
        if ends.logits is not None:
            check_label(model, ends.logits, values)
        shapes = {name: value.shape for name, value in values.items()}
        if has_quantisers(model):
            are_finite(content, model, shapes)
        return model, shapes
    except (ValueError, IndexError, ArithmeticError) as error:  # the last of sizes beyond all floats
        found = one_line(error)
        raise InputError(
            f"expected an ONNX model of the operators and forms that a plan may hold, found {found}; "
            "export the plan again, from a model of PyTorch's own tensor operations"
        ) from error


def _check_inputs(model: StrictModel, ends: ExpectedEnds) -> None:
    expected = {name: End(kind=_KINDS[dtype], shape=(_BATCH, *shape)) for name, (dtype, shape) in ends.inputs.items()}
    _check_ends("inputs", model.inputs, expected)
    _check_ends("outputs", model.outputs, {LABEL: End(kind=_KINDS["int32"], shape=(_BATCH,))})
    if shadowed := model.inputs.keys() & model.constants.keys():
        raise ValueError(f"the initializers {sorted(shadowed)[:8]}, which are inputs too")


def _check_ends(what: str, found: Mapping[str, End], expected: Mapping[str, End]) -> None:
    if found != expected:
        raise ValueError(f"{what} {_described(found)}, where plan.json says {_described(expected)}")


def _described(ends: Mapping[str, End]) -> str:
    shown = [f"{name[:80]!r} of type {end.kind}, {_listed(end.shape)}" for name, end in list(ends.items())[:8]]
    return "; ".join(shown) or "none"


def _listed(shape: tuple[int | str, ...] | None) -> str:
    return "of no shape" if shape is None else f"[{', '.join(str(size)[:80] for size in shape)}]"


class _Walk:
    """One pass over the nodes, which knows every value, how much is alive, and what it all costs."""

    def __init__(self, model: StrictModel, ends: ExpectedEnds) -> None:
        self._model, self._ends = model, ends
        self._values = {name: _constant_value(tensor) for name, tensor in model.constants.items()}
        self._stored = sum(tensor.elements for tensor in _tensors(model))
        for name, (_, shape) in ends.inputs.items():
            self._values[name] = Value(shape=(BATCH, *fixed(*shape)), varies=True)
        self._last_use = {name: place for place, node in enumerate(model.nodes) for name in node.inputs}
        self._last_use |= dict.fromkeys(filter(None, (LABEL, ends.logits)), len(model.nodes))
        self._alive = sum(elements(self._values[name].shape) for name in ends.inputs)
        self._work, self._folded, self._folded_work = 0, 0, 0

    def run(self) -> dict[str, Value]:
        """Check every node, and the shapes of label and logits; return what is known of every value."""
        for place, node in enumerate(self._model.nodes):
            try:
                self._check(node, place)
            except ValueError as error:
                shown = node.name[:200] or "of " + ", ".join(node.outputs[:2])[:200]
                raise ValueError(f"node {shown!r} ({node.kind[:80]}), which {error}") from error
        self._check_shape("output", LABEL, (BATCH,))
        if self._ends.logits is not None:
            self._check_shape("logits", self._ends.logits, (BATCH, Extent(0, self._ends.classes)))
        return self._values

    def _check(self, node: StrictNode, place: int) -> None:
        if node.kind not in OPERATORS:
            why = FORBIDDEN.get(node.kind, f"is not on the list of {len(OPERATORS)} operators that a plan may hold")
            raise ValueError(f"{why} (rewrite the model without {node.kind or 'it'})")
        call = Call(node=node, inputs=[self._value(name) for name in node.inputs])
        shapes = shapes_of(call)
        if not 1 <= len(node.outputs) <= len(shapes) or not all(node.outputs):
            raise ValueError(f"has outputs {list(node.outputs[:8])}, where 1 to {len(shapes)} are expected")
        shapes = shapes[: len(node.outputs)]
        for shape in shapes:
            if len(shape) > MAX_RANK or not all(is_size(size) for size in shape):
                raise ValueError(f"gives a shape of {len(shape)} axes and sizes {_shown(shape[:MAX_RANK])}")
        varies = node.kind not in _OF_SIZES and any(value.varies for value in call.inputs if value is not None)
        self._count(call, shapes, varies=varies)
        for index, (name, shape) in enumerate(zip(node.outputs, shapes, strict=True)):
            known = numbers_of(call, shape) if index == 0 and not varies else None
            self._define(name, Value(shape=shape, numbers=known, varies=varies))
        self._release(node, place)

    def _value(self, name: str) -> Value | None:
        if not name:
            return None
        if name not in self._values:
            raise ValueError(f"takes {name[:200]!r} before anything gives it")
        return self._values[name]

    def _define(self, name: str, value: Value) -> None:
        if name in self._values:
            raise ValueError(f"gives {name[:200]!r}, which something else gives too")
        self._values[name] = value

    def _count(self, call: Call, shapes: Sequence[Shape], *, varies: bool) -> None:
        """Add what a node costs, and refuse what is more than a plan may ask for."""
        written, work = sum(elements(shape) for shape in shapes), work_of(call, shapes)
        self._alive += written
        self._work += work
        if self._alive > MAX_ALIVE * ROWS or self._work > MAX_WORK * ROWS:
            raise ValueError(f"asks for {written // ROWS} elements and {work // ROWS} operations a row")
        if varies:
            return
        self._folded += written
        self._folded_work += work
        room = MAX_FOLDED + FOLDED_PER_STORED * self._stored
        if self._folded > room or self._folded_work > room * FOLDED_WORK:
            raise ValueError(f"computes {written} elements by {work} operations from weights alone")

    def _release(self, node: StrictNode, place: int) -> None:
        """Count a value as gone after its last use; one that is never used is gone at once."""
        for name in {*node.outputs, *node.inputs}:
            if name and name not in self._model.constants and self._last_use.get(name, place) == place:
                self._alive -= elements(self._values[name].shape)

    def _check_shape(self, what: str, name: str, expected: Shape) -> None:
        if name not in self._values or name in self._model.constants or name in self._ends.inputs:
            raise ValueError(f"the {what} {name[:80]!r}, which no node computes")
        if (shape := self._values[name].shape) != expected:
            raise ValueError(f"the {what} {name[:80]!r} of shape {_shown(shape)}, where {_shown(expected)} is expected")


def _shown(shape: Shape) -> str:
    return f"[{', '.join(_BATCH if size == BATCH else f'{size.at_rows}' for size in shape)}]"


def _tensors(model: StrictModel) -> list[Tensor]:
    of_nodes = [value for node in model.nodes for value in node.attributes.values() if isinstance(value, Tensor)]
    return [*model.constants.values(), *of_nodes]


def _constant_value(tensor: Tensor) -> Value:
    return Value(shape=fixed(*tensor.shape), numbers=numbers_of_tensor(tensor))
