"""Whether a graph's values are finite whatever its pixels are, shown by a bound on the size of each.

QuantizeLinear gives a number for NaN. A row that overflows before it would therefore get a vote, which no check of the
logits could see. So a graph with such a node is taken only if a bound shows that its input stays finite. Quantising
bounds what comes after it, so the bounds of such a graph do not grow from layer to layer.
"""

import math
from collections.abc import Mapping

from purecert.engine.plans.bounds.rules import LARGEST, LEAST_SCALE, RULES, Call
from purecert.engine.plans.bounds.weights import (
    FLOAT,
    INT64,
    LARGEST_INTEGER,
    Bound,
    Weight,
    bound_of_tensor,
    weights_of,
)
from purecert.engine.plans.shapes.extents import Shape, elements
from purecert.engine.plans.strict_model import StrictModel, StrictNode

_LARGEST_INPUT = 2.0**16  # noisy pixels are within 2^11, further noise within 256 times 40 (kernels/README.md)
_LEAST = 1e-30  # of any bound: below it numbers are subnormal, and rounding may enlarge them
_QUANTISER = "QuantizeLinear"


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
        name: _LARGEST_INPUT if end.kind == FLOAT else None for name, end in model.inputs.items()
    }
    weights = weights_of(content)
    bounds |= {name: weight.largest for name, weight in weights.items()}
    is_shown = True
    for node in model.nodes:
        is_known = all(bounds.get(name) is not None for name in node.inputs)
        scale = weights.get(node.inputs[1]) if node.kind == _QUANTISER else None
        if node.kind == _QUANTISER and not (is_known and scale is not None and scale.least >= LEAST_SCALE):
            raise ValueError(
                f"node {node.name[:200]!r} ({node.kind}), which takes what is not shown to stay finite; NaN would "
                "become a number there, and a vote"
            )
        found = _bound(node, bounds, shapes, weights)
        is_shown = is_shown and found is not None
        bounds |= dict.fromkeys(node.outputs, found)
    return is_shown


def _bound(
    node: StrictNode, bounds: Mapping[str, Bound], shapes: Mapping[str, Shape], weights: Mapping[str, Weight]
) -> Bound:
    if any(isinstance(value, float) and not math.isfinite(value) for value in node.attributes.values()):
        return None
    if node.kind == "Constant":
        return bound_of_tensor(node.attributes.get("value"))
    is_empty = any(elements(shapes[name]) == 0 for name in node.inputs if name)
    if is_empty or (len(node.outputs) > 1 and node.kind != "Split"):
        return None  # a maximum of nothing, or places beside values
    if node.kind in ("Shape", "Size", "ArgMax"):
        return LARGEST_INTEGER[INT64]
    known = [value for name in node.inputs if name and (value := bounds.get(name)) is not None]
    if len(known) < sum(map(bool, node.inputs)):
        return None
    rule = RULES.get(node.kind)
    call = Call(node=node, given=known, shapes=shapes, weights=weights)
    found = math.inf if rule is None else max(_LEAST, rule(call))
    return found if found < LARGEST else None
