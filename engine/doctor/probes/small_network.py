"""A convolution and the mean of what it finds, as numbers and as an ONNX model in FP16."""

import numpy as np
from jaxtyping import Int64
from numpy.typing import NDArray

from purecert.engine.plans.protocol_buffers import field

_IR_VERSION, _OPSET = 10, 20  # as the plans that engine-export writes
_INT32, _FLOAT16 = 6, 10  # TensorProto.DataType
_INTEGER, _INTEGERS = 2, 7  # AttributeProto.AttributeType


def _convolution() -> Int64[np.ndarray, "3 2 3 3"]:
    """Return weights of which three a channel are not zero, so that sums stay small."""
    weights = np.zeros((3, 18), np.int64)
    for channel, (first, second, third) in enumerate(((0, 4, 13), (2, 10, 16), (7, 11, 12))):
        weights[channel, [first, second]] = 1
        weights[channel, third] = -1
    return weights.reshape(3, 2, 3, 3)


CONVOLUTION = _convolution()
# The means are multiples of 1/16, so these keep a row's logits apart.
BIAS_64THS: Int64[np.ndarray, " 3"] = np.array([0, 1, 2], np.int64)


def onnx_model() -> bytes:
    """Return the network from ``pixels`` [batch, 2, 4, 4] to ``label`` [batch], with the inner value ``logits``."""
    nodes = [
        _node("Conv", ["pixels", "convolution"], "responses", _integers("pads", [1, 1, 1, 1])),
        _node("Relu", ["responses"], "positive"),
        _node("GlobalAveragePool", ["positive"], "means"),
        _node("Flatten", ["means"], "features"),
        _node("Add", ["features", "bias"], "logits"),
        _node("ArgMax", ["logits"], "place", _integer("axis", 1), _integer("keepdims", 0)),
        _node("Cast", ["place"], "label", _integer("to", _INT32)),
    ]
    constants = {"convolution": CONVOLUTION, "bias": BIAS_64THS / 64}
    graph = b"".join(
        [
            *(field(1, node) for node in nodes),
            field(2, b"small"),
            *(field(5, _constant(name, value.astype(np.float16))) for name, value in constants.items()),
            field(11, _value("pixels", _FLOAT16, ["batch", 2, 4, 4])),
            field(12, _value("label", _INT32, ["batch"])),
        ]
    )
    return field(1, _IR_VERSION) + field(7, graph) + field(8, field(2, _OPSET))


def _node(operator: str, inputs: list[str], output: str, *attributes: bytes) -> bytes:
    names = b"".join(field(1, name.encode()) for name in inputs)
    result = field(2, output.encode()) + field(3, output.encode())  # a node is named after what it gives
    return names + result + field(4, operator.encode()) + b"".join(field(5, attribute) for attribute in attributes)


def _integer(name: str, value: int) -> bytes:
    return field(1, name.encode()) + field(3, value) + field(20, _INTEGER)


def _integers(name: str, values: list[int]) -> bytes:
    return field(1, name.encode()) + b"".join(field(8, value) for value in values) + field(20, _INTEGERS)


def _constant(name: str, value: NDArray[np.float16]) -> bytes:
    shape = b"".join(field(1, size) for size in value.shape)
    return shape + field(2, _FLOAT16) + field(8, name.encode()) + field(9, value.astype("<f2").tobytes())


def _value(name: str, kind: int, shape: list[int | str]) -> bytes:
    sizes = [field(2, size.encode()) if isinstance(size, str) else field(1, size) for size in shape]
    tensor = field(1, kind) + field(2, b"".join(field(1, size) for size in sizes))
    return field(1, name.encode()) + field(2, field(1, tensor))
