"""Whether an engine computes in the precision that its network has: an engine that is silently FP32 is refused."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from purecert.engine.errors import BackendError, CheckError
from purecert.engine.plan import PlanRecord
from purecert.engine.tensorrt.network import Product
from purecert.engine.tensorrt.report import LayerNote, LayerReport

_FORBIDDEN = re.compile(r"plugin|loop|while|recurrence|trip_?limit|condition|non_?zero|nms", re.IGNORECASE)
_TYPES = {"float32": "Float", "float16": "Half"}
_MODES = ("Input", "Output")
_FLOATING = ("Half", "Float", "BFloat16", "quantised")


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

    A layer computes a half product where it reads half, its largest constant with more than one extent is half, and
    what else it reads in FP32 passes through a cast in it. Every half product needs such a layer, and no layer that
    names it may read FP32 alone. An FP32 product needs a layer with FP32 weights that reads FP32, or half through a
    cast.

    Raises:
        BackendError: A product is named by no layer, the engine has other inputs or outputs than the plan, or it
            needs a plugin, a loop or several streams.
        CheckError: A product is computed in another precision; the message names its ONNX node and the layer.
    """
    _check_ends(report, record, batch)
    for layer in report.layers:
        if _FORBIDDEN.search(layer.kind):
            raise BackendError(f"expected an engine without plugin, loop and condition, found {_named(layer)}")
        if layer.stream != 0:
            raise BackendError(f"expected an engine on one stream, found {_named(layer)} on stream {layer.stream}")
    for product in products:
        _check_product(product, [layer for layer in report.layers if product.node in layer.nodes])
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
        raise BackendError(
            f"no layer of the engine says that it computes node {product.node}, so its precision is not known; "
            "an engine is used only where it is"
        )
    computes = _computes_in_half if product.in_half else _computes_in_float
    offending = [layer for layer in layers if _contradicts(layer, product)]
    if offending or not any(computes(layer, weighted=product.weighted) for layer in layers):
        wanted = "half" if product.in_half else "FP32"
        raise CheckError(
            f"expected node {product.node} in {wanted}, but the engine computes it in "
            f"{_described((offending or layers)[0])}; the engine is not used: choose another version or backend"
        )


def _computes_in_half(layer: LayerNote, *, weighted: bool) -> bool:
    widened = [entry for entry in layer.inputs if entry.type in _FLOATING and entry.type != "Half"]
    if not layer.reads("Half") or (widened and not _casts(layer)):
        return False
    return not weighted or (layer.weights is not None and layer.weights.type == "Half")


def _computes_in_float(layer: LayerNote, *, weighted: bool) -> bool:
    if not weighted:
        return layer.reads("Float")
    reads = layer.reads("Float") or (layer.reads("Half") and _casts(layer))
    return reads and layer.weights is not None and layer.weights.type == "Float"


def _casts(layer: LayerNote) -> bool:
    """Return whether a layer holds a cast: types are the network's own, so FP32 meets half through nothing else."""
    return "Cast" in layer.name


def _contradicts(layer: LayerNote, product: Product) -> bool:
    """Return whether a layer that names a product can only be computing it in the other precision."""
    own, other = ("Half", "Float") if product.in_half else ("Float", "Half")
    reads_other = layer.reads(other) and not layer.reads(own)
    if product.weighted:
        return reads_other and layer.weights is not None and layer.weights.type != own
    return reads_other


def _described(layer: LayerNote) -> str:
    inputs = ", ".join(entry.type for entry in layer.inputs) or "nothing"
    weights = layer.weights.type if layer.weights else "none"
    return f"{_named(layer)} (reads {inputs}; weights {weights})"


def _named(layer: LayerNote) -> str:
    return f"layer {layer.name} of kind {layer.kind}"
