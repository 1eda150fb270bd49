"""How large what a node gives can be, by its operator: infinity where no bound is known."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from purecert.engine.plans.bounds.weights import BOOL, FLOAT, INT32, INT64, LARGEST_INTEGER, ROUNDING, Weight
from purecert.engine.plans.shapes.extents import Shape, elements
from purecert.engine.plans.strict_model import StrictNode

# Of a sum of FP32 values, with room for the order of its terms and for what a fast convolution adds up on the way.
LARGEST = 1e36
LEAST_SCALE = 1.2e-38  # the least normal number of FP32, of which the reciprocal is finite
_LEAST_EPSILON = 1e-12
_MOST_TERMS = 2.0**31  # of a mean, whose sum comes first

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
class Call:
    """A node with the bounds of its inputs, those that are left out aside, and what is known of the whole graph."""

    node: StrictNode
    given: list[float]
    shapes: Mapping[str, Shape]
    weights: Mapping[str, Weight]

    def shape(self, index: int) -> Shape:
        """Return the shape of input ``index``."""
        return self.shapes[self.node.inputs[index]]

    def weight(self, index: int) -> Weight | None:
        """Return what is known of input ``index`` where it is a weight."""
        return self.weights.get(self.node.inputs[index])

    def number(self, name: str, default: float) -> float:
        """Return an attribute; infinity where it is none of floats."""
        found = self.node.attributes.get(name, default)
        return found if isinstance(found, float) else math.inf


def _of_all(call: Call) -> float:
    return max(call.given)


def _of_first(call: Call) -> float:
    return call.given[0]


def _mean(call: Call) -> float:
    return call.given[0] if call.given[0] * _MOST_TERMS < LARGEST else math.inf


def _at_most_one(call: Call) -> float:
    return 1.0


def _normalised(call: Call) -> float:
    """Return the bound of differences from a mean over a standard deviation, which is at least the root of epsilon."""
    epsilon, (given, weight, *bias) = call.number("epsilon", 1e-5), call.given
    squares = 4 * given**2 * elements(call.shape(0))
    if not _LEAST_EPSILON <= epsilon < math.inf or squares > LARGEST:
        return math.inf
    return 2 * given / math.sqrt(epsilon) * ROUNDING * weight + sum(bias)


def _pooled(call: Call) -> float:
    """Return the bound of maxima; a window of padding alone, which has none, is ruled out."""
    attributes = call.node.attributes
    kernel, pads = (attributes.get(name, ()) for name in ("kernel_shape", "pads"))
    usual = "dilations" not in attributes and not attributes.get("ceil_mode", 0) and "auto_pad" not in attributes
    if not (usual and isinstance(kernel, tuple) and isinstance(pads, tuple)):
        return math.inf
    fits = all(pad < size for pad, size in zip(pads, (*kernel, *kernel), strict=False))
    return call.given[0] if fits else math.inf


def _resized(call: Call) -> float:
    return call.given[0] if call.node.attributes.get("mode", "nearest") in ("nearest", "linear") else math.inf


def _leaky(call: Call) -> float:
    slope = abs(call.number("alpha", 0.01)) if call.node.kind == "LeakyRelu" else call.given[1]
    return call.given[0] * max(1.0, slope)


def _exponential(call: Call) -> float:
    return max(call.given[0], abs(call.number("alpha", 1.0)))


def _quotient(call: Call) -> float:
    """Return the bound of a division by weights, none of which is 0."""
    divisor = call.weight(1)
    if divisor is None or divisor.largest is None or divisor.smallest < LEAST_SCALE:
        return math.inf
    return call.given[0] / divisor.smallest


def _padded(call: Call) -> float:
    return max(call.given[:1] + call.given[2:3])


def _chosen(call: Call) -> float:
    return max(call.given[1:])


def _sum(call: Call) -> float:
    return sum(call.given)


def _sum_of_elements(call: Call) -> float:
    return call.given[0] * elements(call.shape(0))


def _product(call: Call) -> float:
    return math.prod(call.given)


def _cast(call: Call) -> float:
    to = call.node.attributes.get("to")
    if to == BOOL:
        return 1.0
    return call.given[0] if to in (FLOAT, INT32, INT64) else math.inf  # another float might not hold it


def _layer(call: Call) -> float:
    """Return the bound of a convolution or product: as many terms as one output adds, each at its largest.

    Of a convolution whose weights are known it is the largest sum of their sizes for one output, if that is less.
    """
    axis = {"Conv": 0, "ConvTranspose": 1}.get(call.node.kind)
    sizes = [extent.at_rows for extent in call.shape(1)]
    terms = max(sizes) if axis is None else math.prod(size for place, size in enumerate(sizes) if place != axis)
    bias = call.given[2] if len(call.given) > 2 else 0.0
    factor = max(1.0, abs(call.number("alpha", 1.0)), abs(call.number("beta", 1.0)))
    found = (terms * call.given[0] * call.given[1] + bias) * factor
    weight = call.weight(1) if call.node.kind == "Conv" else None
    if weight is None or found >= LARGEST:
        return found
    return min(found, weight.largest_sum * call.given[0] + bias)


def _dequantised(call: Call) -> float:
    zero = call.given[2] if len(call.given) > 2 else 0.0
    return (call.given[0] + zero) * call.given[1]


def _quantised(call: Call) -> float:
    if "output_dtype" in call.node.attributes:  # it might be a float of 8 bits
        return math.inf
    return max(LARGEST_INTEGER[kind] for kind in (2, 3, 4, 5))


RULES: Mapping[str, Callable[[Call], float]] = {
    **dict.fromkeys(_OF_ALL.split(), _of_all),
    **dict.fromkeys(_OF_FIRST.split(), _of_first),
    **dict.fromkeys(_MEANS.split(), _mean),
    **dict.fromkeys(_AT_MOST_ONE.split(), _at_most_one),
    **dict.fromkeys(("Add", "Sub", "Sum"), _sum),
    **dict.fromkeys(("GroupNormalization", "InstanceNormalization", "LayerNormalization"), _normalised),
    "Div": _quotient,
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
