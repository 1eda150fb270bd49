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
from purecert.engine.plans.message_forms import FormReader, contents, integer, integers, text
from purecert.engine.plans.shapes.extents import Shape, elements
from purecert.engine.plans.strict_model import StrictModel, StrictNode, Tensor

# Of a sum of FP32 values, with room for the order of its terms and for what a fast convolution adds up on the way.
_LARGEST = 1e36
_LARGEST_INPUT = 2.0**16  # noisy pixels are within 2^11, further noise within 256 times 40 (kernels/README.md)
_FLOAT, _INT32, _INT64, _BOOL = 1, 6, 7, 9  # TensorProto.DataType
_LARGEST_INTEGER = {2: 255.0, 3: 128.0, 4: 65535.0, 5: 32768.0, _INT32: 2.0**31, _INT64: 2.0**63, _BOOL: 1.0}
_QUANTISER = "QuantizeLinear"
_LEAST_SCALE = 1.2e-38  # the least normal number of FP32, of which the reciprocal is finite
_LEAST_EPSILON = 1e-12
_LEAST = 1e-30  # of any bound: below it numbers are subnormal, and rounding may enlarge them
# Of a weight: a runtime may multiply the weights of several layers with each other, and must not overflow there.
_LARGEST_WEIGHT = 1e6
_ROUNDING = 1.01  # what sums in FP32 may add to exact ones
_MOST_TERMS = 2.0**31  # of a mean, whose sum comes first

Bound = float | None
"""The largest size of any element; None where it is not known to be finite."""

# Nodes of which no output is larger than the largest input; of the others on this line only the first input is data.
_OF_ALL = "Clip Concat Max Min"
_OF_FIRST = (
    "Abs DepthToSpace Dropout Expand Flatten Gather Gelu GlobalMaxPool HardSwish Identity Mish Neg ReduceMax "
    "ReduceMin Relu Reshape Slice SpaceToDepth Split Squeeze Swish Tile Transpose Unsqueeze"
)
_MEANS = "AveragePool GlobalAveragePool ReduceMean"
_AT_MOST_ONE = (
    "And Cos Equal Erf Greater GreaterOrEqual HardSigmoid IsInf IsNaN Less LessOrEqual Not Or Sigmoid Sign Sin Softmax "
    "Softsign Tanh"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Weight:
    """The sizes of a weight's elements: largest, smallest, the largest sum for an output; and the least value."""

    largest: Bound
    smallest: float
    largest_sum: float
    least: float


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
        if node.kind == _QUANTISER and not (is_known and scale is not None and scale.least >= _LEAST_SCALE):
            raise ValueError(
                f"node {node.name[:200]!r} ({node.kind}), which takes what is not shown to stay finite; NaN would "
                "become a number there, and a vote"
            )
        found = _bound(node, bounds, shapes)
        if node.kind == "Div" and (divisor := weights.get(node.inputs[1])) is not None:
            found = _quotient(bounds[node.inputs[0]], divisor)
        if found is not None and node.kind == "Conv" and (weight := weights.get(node.inputs[1])) is not None:
            found = min(found, _of_sums(node, bounds, weight))
        is_shown = is_shown and found is not None
        bounds |= dict.fromkeys(node.outputs, found)
    return is_shown


def _bound(node: StrictNode, bounds: Mapping[str, Bound], shapes: Mapping[str, Shape]) -> Bound:
    if any(isinstance(value, float) and not math.isfinite(value) for value in node.attributes.values()):
        return None
    if node.kind == "Constant":
        return _of_tensor(node.attributes.get("value"))
    is_empty = any(elements(shapes[name]) == 0 for name in node.inputs if name)
    if is_empty or (len(node.outputs) > 1 and node.kind != "Split"):
        return None  # a maximum of nothing, or places beside values
    if node.kind in ("Shape", "Size", "ArgMax"):
        return _LARGEST_INTEGER[_INT64]
    known = [value for name in node.inputs if name and (value := bounds.get(name)) is not None]
    if len(known) < sum(map(bool, node.inputs)):
        return None
    rule = _RULES.get(node.kind)
    found = math.inf if rule is None else max(_LEAST, rule(node, known, shapes))
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
    """Return the bound of differences from a mean over a standard deviation, which is at least the root of epsilon."""
    epsilon = node.attributes.get("epsilon", 1e-5)
    squares = 4 * given[0] ** 2 * elements(shapes[node.inputs[0]])
    if not isinstance(epsilon, float) or epsilon < _LEAST_EPSILON or squares > _LARGEST:
        return math.inf
    return 2 * given[0] / math.sqrt(epsilon) * _ROUNDING * given[1] + sum(given[2:])


def _pooled(node: StrictNode, given: list[float], shapes: Mapping[str, Shape]) -> float:
    """Return the bound of maxima; a window of padding alone, which has none, is ruled out."""
    attributes = node.attributes
    kernel, pads = (attributes.get(name, ()) for name in ("kernel_shape", "pads"))
    usual = "dilations" not in attributes and not attributes.get("ceil_mode", 0) and "auto_pad" not in attributes
    if not (usual and isinstance(kernel, tuple) and isinstance(pads, tuple)):
        return math.inf
    return given[0] if all(pad < size for pad, size in zip(pads, (*kernel, *kernel), strict=False)) else math.inf


def _resized(node: StrictNode, given: list[float], shapes: Mapping[str, Shape]) -> float:
    return given[0] if node.attributes.get("mode", "nearest") in ("nearest", "linear") else math.inf


def _leaky(node: StrictNode, given: list[float], shapes: Mapping[str, Shape]) -> float:
    slope = node.attributes.get("alpha", 0.01) if node.kind == "LeakyRelu" else given[1]
    return given[0] * max(1.0, abs(slope)) if isinstance(slope, float) else math.inf


def _exponential(node: StrictNode, given: list[float], shapes: Mapping[str, Shape]) -> float:
    factor = node.attributes.get("alpha", 1.0)
    return max(given[0], abs(factor)) if isinstance(factor, float) else math.inf


def _quotient(given: Bound, divisor: _Weight) -> Bound:
    """Return the bound of a division by weights, none of which is 0."""
    if given is None or divisor.largest is None or divisor.smallest < _LEAST_SCALE:
        return None
    found = given / divisor.smallest
    return found if found < _LARGEST else None


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
    if to == _BOOL:
        return 1.0
    return given[0] if to in (_FLOAT, _INT32, _INT64) else math.inf  # another float might not hold it


def _layer(node: StrictNode, given: list[float], shapes: Mapping[str, Shape]) -> float:
    """Return the bound of a convolution or product: as many terms as one output adds, each at its largest."""
    sizes = [extent.at_rows for extent in shapes[node.inputs[1]]]
    axis = {"Conv": 0, "ConvTranspose": 1}.get(node.kind)
    others = [size for place, size in enumerate(sizes) if place != axis]
    terms = max(sizes) if axis is None else math.prod(others)
    named = (node.attributes.get(name, 1.0) for name in ("alpha", "beta"))
    factors = [abs(value) if isinstance(value, int | float) else math.inf for value in named]
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
    "Elu": _exponential,
    **dict.fromkeys(("LeakyRelu", "PRelu"), _leaky),
    "MaxPool": _pooled,
    "Mul": _product,
    "Pad": _padded,
    "ReduceSum": _sum_of_elements,
    "Resize": _resized,
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
    sizes = [abs(number) for number in value.numbers]
    is_weight = value.kind == _FLOAT
    if not all(math.isfinite(size) and not (is_weight and size > _LARGEST_WEIGHT) for size in sizes):
        return None
    return max(sizes, default=0.0)


def _weights(content: bytes) -> dict[str, _Weight]:
    """Return what bounds need of every weight."""
    reader = FormReader(len(content))
    graph = reader.read(contents(reader.read(memoryview(content), forms.MODEL), 7)[0], forms.GRAPH)
    found = {}
    for entry in contents(graph, 5):
        tensor = reader.read(entry, forms.TENSOR)
        kind, data = integer(tensor, 2), [*contents(tensor, 9), *contents(tensor, 4)]
        if kind == _FLOAT and data:
            values = np.frombuffer(data[0], "<f4").astype(np.float64)
            found[text(tensor, 8)] = _of_values(values, integers(tensor, 1))
        else:
            found[text(tensor, 8)] = _unknown(_LARGEST_INTEGER.get(kind))
    return found


def _unknown(largest: Bound) -> _Weight:
    return _Weight(largest=largest, smallest=0.0, largest_sum=math.inf, least=0.0)


def _of_values(values: NDArray[np.float64], shape: tuple[int, ...]) -> _Weight:
    sizes = np.abs(values)
    if not sizes.size or not np.isfinite(sizes).all() or sizes.max() > _LARGEST_WEIGHT:
        return _unknown(None)
    sums = sizes.reshape(shape[0] if shape else 1, -1).sum(axis=1)
    return _Weight(
        largest=float(sizes.max()),
        smallest=float(sizes.min()),
        largest_sum=float(sums.max()) * _ROUNDING,
        least=float(values.min()),
    )
