"""An FP32 graph with some of its products in INT8: integers of eight bits, by scales that are fixed beforehand.

ONNX Runtime's quantiser writes them as QuantizeLinear and DequantizeLinear around each product: unsigned activations of
one scale a tensor, signed weights of one scale an output channel. No scale is taken from a batch, so rows do not see
each other.
"""

import copy
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import onnx
from onnxruntime.quantization import QuantType
from onnxruntime.quantization.calibrate import TensorsData
from onnxruntime.quantization.qdq_quantizer import QDQQuantizer

from purecert.export.graph.program import LOGITS
from purecert.export.quantisation.ranges import PRODUCTS


def products_of(model: onnx.ModelProto) -> list[onnx.NodeProto]:
    """Return the products with weights, in order; without the last, which gives the logits, whose order is the vote."""
    weights = {entry.name for entry in model.graph.initializer}
    found = [node for node in model.graph.node if node.op_type in PRODUCTS and node.input[1] in weights]
    return found[:-1] if found and _gives_logits(model, found[-1]) else found


def quantised(model: onnx.ModelProto, nodes: Sequence[str], ranges: TensorsData) -> bytes:
    """Return ``model`` with the products named in INT8, as the bytes of a graph of ONNX's own operators."""
    with _quiet():
        quantiser = QDQQuantizer(
            copy.deepcopy(model),
            per_channel=True,
            reduce_range=False,
            weight_qType=QuantType.QInt8,
            activation_qType=QuantType.QUInt8,
            tensors_range=ranges,
            nodes_to_quantize=list(nodes),
            nodes_to_exclude=[],
            op_types_to_quantize=list(PRODUCTS),
            extra_options={},
        )
        quantiser.quantize_model()
        quantiser.model.topological_sort()
    result = quantiser.model.model
    own = [entry for entry in result.opset_import if entry.domain in ("", "ai.onnx")]
    del result.opset_import[:]
    result.opset_import.extend(own)
    result.producer_name, result.producer_version = model.producer_name, model.producer_version
    del result.graph.value_info[:]  # of tensors that are no more
    onnx.checker.check_model(result, full_check=True)
    content: bytes = result.SerializeToString(deterministic=True)
    return content


def _gives_logits(model: onnx.ModelProto, node: onnx.NodeProto) -> bool:
    """Return whether nothing but sums and shapes lies between the node and the logits."""
    makers = {output: maker for maker in model.graph.node for output in maker.output}
    name = LOGITS
    while name in makers:
        if makers[name].name == node.name:
            return True
        if makers[name].op_type not in ("Add", "Cast", "Identity", "Reshape", "Flatten", "Squeeze"):
            return False
        name = makers[name].input[0]
    return False


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence what the quantiser logs of its own making; what goes wrong is an error."""
    disabled = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(disabled)
