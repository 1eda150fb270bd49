"""The sizes of a graph's constants, which bounds of its values are made of."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from purecert.engine.plans import message_forms as forms
from purecert.engine.plans.message_forms import FormReader, contents, integer, integers, text
from purecert.engine.plans.strict_model import Tensor

FLOAT, INT32, INT64, BOOL = 1, 6, 7, 9  # TensorProto.DataType
LARGEST_INTEGER = {2: 255.0, 3: 128.0, 4: 65535.0, 5: 32768.0, INT32: 2.0**31, INT64: 2.0**63, BOOL: 1.0}
# Of a weight: a runtime may multiply the weights of several layers with each other, and must not overflow there.
_LARGEST_WEIGHT = 1e6
ROUNDING = 1.01  # what sums in FP32 may add to exact ones

Bound = float | None
"""The largest size of any element; None where it is not known to be finite."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Weight:
    """The sizes of a weight's elements: largest, smallest, the largest sum for an output; and the least value."""

    largest: Bound
    smallest: float
    largest_sum: float
    least: float


def bound_of_tensor(value: object) -> Bound:
    """Return the largest size in the constant that a node holds; None where it is not finite, or is no tensor."""
    if not isinstance(value, Tensor):
        return None
    if value.numbers is None:
        return LARGEST_INTEGER.get(value.kind)
    sizes = [abs(number) for number in value.numbers]
    is_weight = value.kind == FLOAT
    if not all(math.isfinite(size) and not (is_weight and size > _LARGEST_WEIGHT) for size in sizes):
        return None
    return max(sizes, default=0.0)


def weights_of(content: bytes) -> dict[str, Weight]:
    """Return what bounds need of every weight."""
    reader = FormReader(len(content))
    graph = reader.read(contents(reader.read(memoryview(content), forms.MODEL), 7)[0], forms.GRAPH)
    found = {}
    for entry in contents(graph, 5):
        tensor = reader.read(entry, forms.TENSOR)
        kind, data = integer(tensor, 2), [*contents(tensor, 9), *contents(tensor, 4)]
        if kind == FLOAT and data:
            values = np.frombuffer(data[0], "<f4").astype(np.float64)
            found[text(tensor, 8)] = _of_values(values, integers(tensor, 1))
        else:
            found[text(tensor, 8)] = _unknown(LARGEST_INTEGER.get(kind))
    return found


def _unknown(largest: Bound) -> Weight:
    return Weight(largest=largest, smallest=0.0, largest_sum=math.inf, least=0.0)


def _of_values(values: NDArray[np.float64], shape: tuple[int, ...]) -> Weight:
    sizes = np.abs(values)
    if not sizes.size or not np.isfinite(sizes).all() or sizes.max() > _LARGEST_WEIGHT:
        return _unknown(None)
    sums = sizes.reshape(shape[0] if shape else 1, -1).sum(axis=1)
    return Weight(
        largest=float(sizes.max()),
        smallest=float(sizes.min()),
        largest_sum=float(sums.max()) * ROUNDING,
        least=float(values.min()),
    )
