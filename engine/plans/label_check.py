"""Whether a plan's label is taken from the very tensor that the plan names as its logits, which is no coarse one.

The row check compares logits bit for bit, since rounding that depends on a row's place shows there and hardly in a
label. That proves something of the labels only if these follow from the logits row by row, and if the logits are not
themselves rounded: a one-hot answer has no last bit to look at. So the label must be

    ArgMax over the classes, cast to integers; -1 where something in the row's logits says so.

and the logits must be computed from the inputs by other operators than those that give a few values only.
"""

from collections.abc import Mapping

from purecert.engine.plans.onnx_graph import PRODUCTS
from purecert.engine.plans.shapes.extents import BATCH, Value, elements, fixed
from purecert.engine.plans.strict_model import StrictModel, StrictNode

LABEL = "label"
_WHOLE = (6, 7)  # TensorProto.DataType: int32, int64
_FLOATS = (1, 10, 11, 16)  # float32, float16, float64, bfloat16

_GIVE_FEW_VALUES = (
    "ArgMax ArgMin BitShift BitwiseAnd BitwiseNot BitwiseOr BitwiseXor And Ceil Equal Floor Greater GreaterOrEqual "
    "Hardmax IsInf IsNaN Less LessOrEqual Not OneHot Or QuantizeLinear Round Sign Xor"
)
_ADD_MANY = (
    "AveragePool CumSum GlobalAveragePool GlobalLpPool LpPool ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp "
    "ReduceMean ReduceProd ReduceSum ReduceSumSquare"
)
_SAY_OF_A_ROW = (
    "Abs And Cast Equal Greater GreaterOrEqual Identity IsInf IsNaN Less LessOrEqual Mul Not Or ReduceMax ReduceMean "
    "ReduceMin ReduceProd ReduceSum Sub"
)
_COARSE = frozenset(_GIVE_FEW_VALUES.split())
# Sums of many coarse values are not coarse: a network may well round inside.
_SUMS = PRODUCTS | frozenset(_ADD_MANY.split())
# What may tell from a row's logits that they are not all finite.
_ABOUT_A_ROW = frozenset(_SAY_OF_A_ROW.split())


def check_label(model: StrictModel, logits: str, values: Mapping[str, Value]) -> None:
    """Refuse a model whose label is not taken from ``logits`` as above, or whose logits are coarse.

    Args:
        model: Whose nodes stand in the order in which they are computed, each value given once.
        logits: The value [batch, classes] that plan.json names.
        values: What is known of every value by its name.

    Raises:
        ValueError: It is one; the message says why.
    """
    makers = {name: node for node in model.nodes for name in node.outputs}
    top = _before_casts(LABEL, makers)
    if top is not None and top.kind == "Where":
        condition, *answers = top.inputs
        valid = [answer for answer in answers if values[answer].numbers != fixed(-1)]
        if len(valid) != 1 or not _is_of_rows(condition, logits, makers, values):
            raise ValueError(f"a label that chooses between other things than one row of {logits[:80]!r} and -1")
        top = _before_casts(valid[0], makers)
    _check_largest(top, logits)
    if logits not in _fine_values(model):
        raise ValueError(
            f"logits {logits[:80]!r} that take a few values only, so that comparing them proves nothing (or name none: "
            '"logits": null in plan.json)'
        )


def _before_casts(name: str, makers: Mapping[str, StrictNode]) -> StrictNode | None:
    """Return the node that gives ``name``, before casts to integers that hold every class."""
    while (node := makers.get(name)) is not None and (node.kind == "Identity" or _casts_to(node, _WHOLE)):
        name = node.inputs[0]
    return node


def _casts_to(node: StrictNode, kinds: tuple[int, ...]) -> bool:
    return node.kind == "Cast" and node.attributes.get("to") in kinds


def _check_largest(node: StrictNode | None, logits: str) -> None:
    """Refuse a node that is not the place of the largest of a row's logits."""
    if (
        node is None
        or node.kind != "ArgMax"
        or node.inputs != (logits,)
        or node.attributes.get("axis", 0) not in (1, -1)
        or node.attributes.get("select_last_index", 0) != 0
    ):
        raise ValueError(f"a label that is not the place of the largest of {logits[:80]!r}, the first of several")


def _is_of_rows(name: str, logits: str, makers: Mapping[str, StrictNode], values: Mapping[str, Value]) -> bool:
    """Return whether ``name`` says something of each row that follows from that row's logits alone."""
    waiting, seen = [name], {logits}
    while waiting:
        value = waiting.pop()
        if value in seen or (not values[value].varies and elements(values[value].shape) == 1):
            continue
        seen.add(value)
        node = makers.get(value)
        # What keeps the batch as its first axis, by operators that move no row, stays a value of each row.
        if node is None or node.kind not in _ABOUT_A_ROW or values[value].shape[:1] != (BATCH,):
            return False
        waiting += filter(None, node.inputs)  # an optional one that is left out has no name
    return True


def _fine_values(model: StrictModel) -> set[str]:
    """Return the values that depend on the inputs and may take as many values as numbers can."""
    varying, fine = set(model.inputs), set(model.inputs)
    for node in model.nodes:
        if node.kind in ("Shape", "Size") or varying.isdisjoint(node.inputs):
            continue
        varying.update(node.outputs)
        if not _is_coarse(node) and (node.kind in _SUMS or not fine.isdisjoint(node.inputs)):
            fine.update(node.outputs[:1] if node.kind == "TopK" else node.outputs)  # the second are places
    return fine


def _is_coarse(node: StrictNode) -> bool:
    return node.kind in _COARSE or (node.kind == "Cast" and not _casts_to(node, _FLOATS))
