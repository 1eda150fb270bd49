"""Whether an engine computes in the precision that its network has: an engine that is silently FP32 is refused."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from purecert.engine.backends.tensorrt.layer_types import Verdict, contradicts, describe, holders, judge, share_of
from purecert.engine.backends.tensorrt.network import Product
from purecert.engine.backends.tensorrt.report import LayerNote, LayerReport
from purecert.engine.errors import BackendError, CheckError
from purecert.engine.plans.plan import PlanRecord

_FORBIDDEN = re.compile(r"plugin|loop|while|recurrence|trip_?limit|condition|non_?zero|nms", re.IGNORECASE)
_TYPES = {"float32": "Float", "float16": "Half"}
_MODES = ("Input", "Output")


@dataclass(frozen=True, kw_only=True, slots=True)
class PrecisionReport:
    """What was found in an engine whose layers have the plan's precision."""

    layers: int
    half_products: int  # convolutions and matrix products in half
    fp32_products: tuple[str, ...]  # the ONNX nodes of those in FP32
    inputs: tuple[str, ...]  # name, type and extents
    outputs: tuple[str, ...]

    def summary(self) -> str:
        """Return it in one line."""
        named = f" ({', '.join(self.fp32_products)})" if 0 < len(self.fp32_products) <= 3 else ""
        return (
            f"{self.layers} layers, {self.half_products} products in half, {len(self.fp32_products)} in FP32{named}; "
            f"{', '.join(self.inputs)} -> {', '.join(self.outputs)}"
        )


def check_precision(
    report: LayerReport, products: Sequence[Product], record: PlanRecord, batch: int
) -> PrecisionReport:
    """Return what an engine computes in, after comparing its layers with the network's ``products``.

    Every product needs a layer that computes it in its own type, as ``judge`` says, among those with its weights or
    else among those that name it; and no layer that names it may only be computing it in another. A product that is
    the same for every row may also have no layer, or none that shows its type.

    Raises:
        BackendError: A product is named by no layer, the engine has other inputs or outputs than the plan, or it
            needs a plugin, a loop or several streams.
        CheckError: A product is computed in another precision, or in one that no layer shows; the message names its
            ONNX node and the layer.
    """
    _check_ends(report, record, batch)
    for layer in report.layers:
        if _FORBIDDEN.search(layer.kind):
            raise BackendError(f"expected an engine without plugin, loop and condition, found {layer.described()}")
        if layer.stream != 0:
            raise BackendError(f"expected an engine on one stream, found {layer.described()} on stream {layer.stream}")
    for product in products:
        named = [layer for layer in report.layers if product.node in layer.nodes]
        _check_product(product, [share_of(product, layer, products) for layer in named])
    ends = {
        mode: tuple(f"{e.name} {e.type} {list(e.extents)}" for e in report.ends if e.mode == mode) for mode in _MODES
    }
    return PrecisionReport(
        layers=len(report.layers),
        half_products=sum(product.in_half for product in products),
        fp32_products=tuple(product.node for product in products if not product.in_half),
        inputs=ends["Input"],
        outputs=ends["Output"],
    )


def _check_ends(report: LayerReport, record: PlanRecord, batch: int) -> None:
    expected = {("Input", entry.name, _TYPES[entry.dtype], (batch, *entry.shape)) for entry in record.inputs}
    expected.add(("Output", "label", "Int32", (batch,)))
    found = [(end.mode, end.name, end.type, end.extents) for end in report.ends]
    if set(found) != expected or len(found) != len(expected):
        raise BackendError(
            f"expected an engine with inputs and outputs {sorted(expected)}, found {sorted(found)}; "
            "the library built another network than the plan's"
        )


def _check_product(product: Product, layers: Sequence[LayerNote]) -> None:
    if not layers:
        if product.is_fixed:  # computed while the engine was built, and a constant in it
            return
        raise BackendError(
            f"no layer of the engine says that it computes node {product.node}, so its precision is not known; "
            "an engine is used only where it is"
        )
    verdicts = [(judge(layer, product, held), layer) for layer, held in holders(layers, product)]
    offending = [layer for layer in layers if contradicts(layer, product)]
    if not offending and any(verdict is Verdict.OWN for verdict, _ in verdicts):
        return
    offending += [layer for verdict, layer in verdicts if verdict is Verdict.OTHER]
    wanted = "half" if product.in_half else "FP32"
    if offending:
        found = f"but the engine computes it in {describe(offending[0], product)}"
    elif product.is_fixed:
        return
    else:
        found = f"which is not shown by {describe(verdicts[0][1], product)}"
    raise CheckError(
        f"expected node {product.node} in {wanted}, {found}; the engine is not used: choose another version or backend"
    )
