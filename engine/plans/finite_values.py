"""Whether a graph's values are finite whatever its pixels are, shown by a bound on the size of each.

QuantizeLinear gives a number for NaN. A row that overflows before it would therefore get a vote, which no check of the
logits could see. So a graph with such a node is taken only if a bound shows that its input stays finite. Quantising
bounds what comes after it, so the bounds of such a graph do not grow from layer to layer.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from purecert.engine.plans import message_forms as forms
from purecert.engine.plans.allowed_operators import ROWS
from purecert.engine.plans.message_forms import FormReader, contents, integer, integers, text
from purecert.engine.plans.shapes.extents import Shape, elements
from purecert.engine.plans.strict_model import StrictModel, StrictNode, Tensor

# Of a sum of FP32 values, with room for the order of its terms and for what a fast convolution adds up on the way.
_LARGEST = 1e36
_LARGEST_INPUT = 2.0**16  # noisy pixels are within 2^11, further noise within 256 times 40 (kernels/README.md)
_FLOAT, _INT32, _INT64, _BOOL = 1, 6, 7, 9  # TensorProto.DataType
_LARGEST_INTEGER = {2: 255.0, 3: 128.0, 4: 65535.0, 5: 32768.0, _INT32: 2.0**31, _INT64: 2.0**63, _BOOL: 1.0}
_QUANTISER = "QuantizeLinear"
_ROUNDING = 1.01  # what sums in FP32 may add to exact ones
_MOST_TERMS = 2.0**31  # of a mean, whose sum comes first

Bound = float | None
"""The largest size of any element; None where it is not known to be finite."""

# Nodes of which no output is larger than the largest input; of the others on this line only the first input is data.
_OF_ALL = "Clip Concat Max Min"
_OF_FIRST = (
    "Abs DepthToSpace Dropout Expand Flatten Gather GlobalMaxPool Identity MaxPool Neg ReduceMax ReduceMin Relu "
    "Reshape Slice SpaceToDepth Split Squeeze Tile Transpose Unsqueeze"
)
_MEANS = "AveragePool GlobalAveragePool ReduceMean"
_AT_MOST_ONE = (
    "And Cos Equal Erf Greater GreaterOrEqual HardSigmoid IsInf IsNaN Less LessOrEqual Not Or Sigmoid Sign Sin Softmax "
    "Softsign Tanh"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Weight:
    """The sizes of a weight's elements: the largest and the smallest of them, and their largest sum for an output."""

    largest: Bound
    smallest: float
    largest_sum: float


def has_quantisers(model: StrictModel) -> bool:
    """Return whether a node of the graph rounds to integers, and so gives a number for NaN."""
    return any(node.kind == _QUANTISER for node in model.nodes)


def are_finite(content: bytes, model: StrictModel, shapes: Mapping[str, Shape]) -> bool:
    """Return whether a bound shows every value finite that the graph computes from finite inputs.

    Args:
        content: The ONNX model, for the sizes of its weights.
        model: What it holds.
        shapes: Of every value.

    Raises:
        ValueError: A node that rounds to integers takes what is not shown to be finite.
    """
    bounds: dict[str, Bound] = {
        name: _LARGEST_INPUT if end.kind == _FLOAT else None for name, end in model.inputs.items()
    }
    weights = _weights(content)
    bounds |= {name: weight.largest for name, weight in weights.items()}
    is_shown = True
    for node in model.nodes:
        is_known = all(bounds.get(name) is not None for name in node.inputs)
        scale = weights.get(node.inputs[1]) if node.kind == _QUANTISER else None
        if node.kind == _QUANTISER and not (is_known and scale is not None and scale.smallest > 0):
            raise ValueError(
                f"node {node.name[:200]!r} ({node.kind}), which takes what is not shown to stay finite; NaN would "
                "become a number there, and a vote"
            )
        found = _bound(node, bounds, shapes)
        if found is not None and node.kind == "Conv" and (weight := weights.get(node.inputs[1])) is not None:
            found = min(found, _of_sums(node, bounds, weight))
        is_shown = is_shown and found is not None
        bounds |= dict.fromkeys(node.outputs, found)
    return is_shown


def _bound(node: StrictNode, bounds: Mapping[str, Bound], shapes: Mapping[str, Shape]) -> Bound:
    if node.kind == "Constant":
        return _of_tensor(node.attributes.get("value"))
    if node.kind in ("Shape", "Size", "ArgMax"):
        return _LARGEST_INTEGER[_INT64]
    known = [value for name in node.inputs if name and (value := bounds.get(name)) is not None]
    if len(known) < sum(map(bool, node.inputs)):
        return None
    rule = _RULES.get(node.kind)
    found = math.inf if rule is None else rule(node, known, shapes)
    return found if found < _LARGEST else None


def _of_all(node: StrictNode, given: list[float], shapes: Mapping[str, Shape]) -> float:
    return max(given)


def _of_first(node: StrictNode, given: list[float], shapes: Mapping[str, Shape]) -> float:
    return given[0]


def _mean(node: StrictNode, given: list[float], shapes: Mapping[str, Shape]) -> float:
    return given[0] if given[0] * _MOST_TERMS < _LARGEST else math.inf


def _at_most_one(node: StrictNode, given: list[float], shapes: Mapping[str, Shape]) -> float:
    return 1.0


def _normalised(node: StrictNode, given: list[float], shapes: Mapping[str, Shape]) -> float:
    """Return the bound of values over their standard deviation, which of N values is at most the root of N."""
    count = elements(shapes[node.inputs[0]]) / ROWS
    if given[0] ** 2 * count * 4 > _LARGEST:  # the sum of squares
        return math.inf
    return math.sqrt(count) * _ROUNDING * given[1] + sum(given[2:])


def _padded(node: StrictNode, given: list[float], shapes: Mapping[str, Shape]) -> float:
    return max(given[:1] + given[2:3])


def _chosen(node: StrictNode, given: list[float], shapes: Mapping[str, Shape]) -> float:
    return max(given[1:])


def _sum(node: StrictNode, given: list[float], shapes: Mapping[str, Shape]) -> float:
    return sum(given)


def _sum_of_elements(node: StrictNode, given: list[float], shapes: Mapping[str, Shape]) -> float:
    return given[0] * elements(shapes[node.inputs[0]])


def _product(node: StrictNode, given: list[float], shapes: Mapping[str, Shape]) -> float:
    return math.prod(given)


def _cast(node: StrictNode, given: list[float], shapes: Mapping[str, Shape]) -> float:
    to = node.attributes.get("to")
    return given[0] if to in (_FLOAT, _INT32, _INT64, _BOOL) else math.inf  # another float might not hold it


def _layer(node: StrictNode, given: list[float], shapes: Mapping[str, Shape]) -> float:
    """Return the bound of a convolution or product: as many terms as one output adds, each at its largest."""
    sizes = [extent.at_rows for extent in shapes[node.inputs[1]]]
    axis = {"Conv": 0, "ConvTranspose": 1}.get(node.kind)
    others = [size for place, size in enumerate(sizes) if place != axis]
    terms = max(sizes) if axis is None else math.prod(others)
    factors = [abs(float(value)) for name in ("alpha", "beta") if isinstance(value := node.attributes.get(name), float)]
    bias = given[2] if len(given) > 2 else 0.0
    return (terms * given[0] * given[1] + bias) * max([1.0, *factors])


def _of_sums(node: StrictNode, bounds: Mapping[str, Bound], weight: _Weight) -> float:
    """Return the bound of a convolution whose weights are known: the largest sum of their sizes for one output."""
    given, bias = (bounds.get(name) or 0.0 for name in (node.inputs[0], (*node.inputs, "", "")[2]))
    return weight.largest_sum * given + bias


def _dequantised(node: StrictNode, given: list[float], shapes: Mapping[str, Shape]) -> float:
    zero = given[2] if len(given) > 2 else 0.0
    return (given[0] + zero) * given[1]


def _quantised(node: StrictNode, given: list[float], shapes: Mapping[str, Shape]) -> float:
    if "output_dtype" in node.attributes:  # it might be a float of 8 bits
        return math.inf
    return max(_LARGEST_INTEGER[kind] for kind in (2, 3, 4, 5))


_RULES: Mapping[str, Callable[[StrictNode, list[float], Mapping[str, Shape]], float]] = {
    **dict.fromkeys(_OF_ALL.split(), _of_all),
    **dict.fromkeys(_OF_FIRST.split(), _of_first),
    **dict.fromkeys(_MEANS.split(), _mean),
    **dict.fromkeys(_AT_MOST_ONE.split(), _at_most_one),
    **dict.fromkeys(("Add", "Sub", "Sum"), _sum),
    **dict.fromkeys(("GroupNormalization", "InstanceNormalization", "LayerNormalization"), _normalised),
    "Mul": _product,
    "Pad": _padded,
    "ReduceSum": _sum_of_elements,
    "Where": _chosen,
    "Cast": _cast,
    **dict.fromkeys(("Conv", "ConvTranspose", "Gemm", "MatMul"), _layer),
    "DequantizeLinear": _dequantised,
    "QuantizeLinear": _quantised,
}


def _of_tensor(value: object) -> Bound:
    if not isinstance(value, Tensor):
        return None
    if value.numbers is None:
        return _LARGEST_INTEGER.get(value.kind)
    largest = max((abs(number) for number in value.numbers), default=0.0)
    return largest if math.isfinite(largest) else None


def _weights(content: bytes) -> dict[str, _Weight]:
    """Return what bounds need of every weight."""
    reader = FormReader(len(content))
    graph = reader.read(contents(reader.read(memoryview(content), forms.MODEL), 7)[0], forms.GRAPH)
    found = {}
    for entry in contents(graph, 5):
        tensor = reader.read(entry, forms.TENSOR)
        kind, data = integer(tensor, 2), [*contents(tensor, 9), *contents(tensor, 4)]
        if kind == _FLOAT and data:
            sizes = np.abs(np.frombuffer(data[0], "<f4").astype(np.float64))
            found[text(tensor, 8)] = _of_sizes(sizes, integers(tensor, 1))
        else:
            found[text(tensor, 8)] = _Weight(largest=_LARGEST_INTEGER.get(kind), smallest=0.0, largest_sum=math.inf)
    return found


def _of_sizes(sizes: NDArray[np.float64], shape: tuple[int, ...]) -> _Weight:
    if not sizes.size or not np.isfinite(sizes).all():
        return _Weight(largest=None, smallest=0.0, largest_sum=math.inf)
    sums = sizes.reshape(shape[0] if shape else 1, -1).sum(axis=1)
    return _Weight(largest=float(sizes.max()), smallest=float(sizes.min()), largest_sum=float(sums.max()) * _ROUNDING)
