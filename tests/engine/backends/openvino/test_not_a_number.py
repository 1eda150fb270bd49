"""Operators that OpenVINO is given keep NaN, alone and beside a convolution; the check of a graph finds it lost."""

from collections.abc import Callable, Mapping

import numpy as np
import pytest
from numpy.typing import NDArray

from purecert.engine.backends.lower_precision import has_instructions
from purecert.engine.errors import BackendError

runtime = pytest.importorskip(
    "purecert.engine.backends.openvino.runtime",
    reason="OpenVINO is not installed: pip install '.[openvino]'",
    exc_type=ImportError,
)

from purecert.engine.backends.openvino import not_a_number  # noqa: E402  # after the skip
from purecert.engine.backends.openvino.not_a_number import keep_nan  # noqa: E402  # after the skip
from purecert.engine.backends.openvino.poison_check import check_nan_is_kept  # noqa: E402  # after the skip

ops, ov = runtime.ops, runtime.ov
Value = ov.Output
_SHAPE = (3, 8, 6, 6)
_RANDOM = np.random.default_rng(3)


def _number(value: float) -> Value:
    return ops.constant(np.array([value], np.float32)).output(0)


def _weights(*shape: int) -> Value:
    return ops.constant(_RANDOM.normal(0, 0.3, shape).astype(np.float32)).output(0)


def _pool(x: Value) -> Value:
    return ops.max_pool(x, [2, 2], [1, 1], [0, 0], [0, 0], [2, 2], "floor", "explicit", "i64", 0).output(0)


def _convolution(x: Value) -> Value:
    return ops.convolution(x, _weights(8, 8, 3, 3), [1, 1], [1, 1], [1, 1], [1, 1]).output(0)


# What turns NaN into a number in OpenVINO 2026.4 as it stands, and its form here does not.
_REWRITTEN: Mapping[str, Callable[[Value], Value]] = {
    "Relu": lambda x: ops.relu(x).output(0),
    "Clamp": lambda x: ops.clamp(x, -1, 1).output(0),
    "Exp": lambda x: ops.exp(x).output(0),
    "HSigmoid": lambda x: ops.hsigmoid(x).output(0),
    "HardSigmoid": lambda x: ops.hard_sigmoid(x, np.float32(0.2), np.float32(0.5)).output(0),
    "Maximum": lambda x: ops.maximum(x, _number(0)).output(0),
    "Minimum": lambda x: ops.minimum(_number(1), x).output(0),
    "Sqrt": lambda x: ops.sqrt(x).output(0),
    "MaxPool": _pool,
    "ReduceMax": lambda x: ops.reduce_max(x, np.array([2, 3]), True).output(0),
    "ReduceMin": lambda x: ops.reduce_min(x, np.array([1]), True).output(0),
}
_KEEPING: Mapping[str, Callable[[Value], Value]] = {
    "Abs": lambda x: ops.abs(x).output(0),
    "Add": lambda x: ops.add(x, _number(1)).output(0),
    "AvgPool": lambda x: ops.avg_pool(x, [2, 2], [0, 0], [0, 0], [2, 2], True).output(0),
    "BatchNormInference": lambda x: ops.batch_norm_inference(
        x, _weights(8), _weights(8), _weights(8), ops.constant(np.ones(8, np.float32)), 1e-5
    ).output(0),
    "Cos": lambda x: ops.cos(x).output(0),
    "Convolution": _convolution,
    "LogSoftmax": lambda x: ops.log_softmax(x, 1).output(0),
    "Selu": lambda x: ops.selu(x, _number(1.7), _number(1.05)).output(0),
    "Sin": lambda x: ops.sin(x).output(0),
    "SoftSign": lambda x: ops.softsign(x).output(0),
    "ConvolutionBackpropData": lambda x: ops.convolution_backprop_data(
        x, _weights(8, 4, 2, 2), strides=[2, 2], pads_begin=[0, 0], pads_end=[0, 0], dilations=[1, 1]
    ).output(0),
    "Divide": lambda x: ops.divide(x, _number(3)).output(0),
    "Elu": lambda x: ops.elu(x, 1.0).output(0),
    "Erf": lambda x: ops.erf(x).output(0),
    "Floor": lambda x: ops.floor(x).output(0),
    "Gelu": lambda x: ops.gelu(x, "ERF").output(0),
    "GroupConvolution": lambda x: ops.group_convolution(
        x, _weights(8, 1, 1, 3, 3), [1, 1], [1, 1], [1, 1], [1, 1]
    ).output(0),
    "GroupNormalization": lambda x: ops.group_normalization(x, _weights(8), _weights(8), 2, 1e-5).output(0),
    "HSwish": lambda x: ops.hswish(x).output(0),
    "MVN": lambda x: ops.mvn(x, np.array([2, 3]), True, 1e-5, "INSIDE_SQRT").output(0),
    "MatMul": lambda x: ops.matmul(x, _weights(6, 5), False, False).output(0),
    "Mish": lambda x: ops.mish(x).output(0),
    "Multiply": lambda x: ops.multiply(x, _number(0.0)).output(0),
    "Negative": lambda x: ops.negative(x).output(0),
    "PRelu": lambda x: ops.prelu(x, _weights(8)).output(0),
    "Power": lambda x: ops.power(x, _number(2)).output(0),
    "ReduceMean": lambda x: ops.reduce_mean(x, np.array([2, 3]), True).output(0),
    "ReduceSum": lambda x: ops.reduce_sum(x, np.array([1]), True).output(0),
    "Round": lambda x: ops.round(x, "half_to_even").output(0),
    "Sigmoid": lambda x: ops.sigmoid(x).output(0),
    "Sign": lambda x: ops.sign(x).output(0),
    "SoftPlus": lambda x: ops.softplus(x).output(0),
    "Softmax": lambda x: ops.softmax(x, 1).output(0),
    "Subtract": lambda x: ops.subtract(_number(1), x).output(0),
    "Swish": lambda x: ops.swish(x).output(0),
    "Tanh": lambda x: ops.tanh(x).output(0),
    # These move numbers, and Interpolate computes new ones out of them.
    "Interpolate": lambda x: ops.interpolate(x, np.array([9, 9]), "linear_onnx", "sizes", axes=np.array([2, 3])).output(
        0
    ),
    "Pad": lambda x: ops.pad(x, [0, 0, 1, 1], [0, 0, 1, 1], "reflect").output(0),
}
_ALONE, _BEFORE, _AFTER = "alone", "after a convolution", "before one"


def _model(form: Callable[[Value], Value], place: str) -> ov.Model:
    pixels = ops.parameter(list(_SHAPE), np.float32, name="pixels")
    value = pixels.output(0)
    value = form(_convolution(value) if place == _BEFORE else value)
    if place == _AFTER and list(value.get_partial_shape().to_shape())[1] == _SHAPE[1]:
        value = _convolution(value)
    return ov.Model([ops.result(value)], [pixels], "model")


def _rows_with_nan(model: ov.Model, precision: str = "f32") -> list[bool]:
    """Return of each row whether a NaN in the second one shows in it."""
    rows = _RANDOM.normal(0, 1, _SHAPE).astype(np.float32)
    rows[1, 2, 3, 3] = np.nan
    compiled = ov.Core().compile_model(
        model, "CPU", {"INFERENCE_PRECISION_HINT": precision, "INFERENCE_NUM_THREADS": 1}
    )
    found = compiled(rows)[0].reshape(_SHAPE[0], -1)
    return [bool(np.isnan(row).any()) for row in found]


@pytest.mark.parametrize("place", [_ALONE, _BEFORE, _AFTER])
@pytest.mark.parametrize("precision", ["f32", "bf16"])
def test_nan_is_kept_in_the_row_that_holds_it(precision: str, place: str) -> None:
    if precision == "bf16" and not has_instructions("bf16"):
        pytest.skip("this processor has no bf16")
    losing = []
    for kind, form in (_REWRITTEN | _KEEPING).items():
        model = _model(form, place)
        keep_nan(model)
        first, second, third = _rows_with_nan(model, precision)
        others = (first or third) and kind != "Sqrt"  # which is NaN of what is below 0 too
        if others or not second:
            losing.append(kind)
    assert losing == []


def test_every_operator_that_is_let_through_is_tried_here() -> None:
    tried = set(_KEEPING) | {"GroupConvolutionBackpropData", "Interpolate", "Pad"}  # the first is a convolution's form
    assert set(not_a_number._KEEPING.split()) <= tried
    assert set(not_a_number._REWRITTEN) == set(_REWRITTEN)


def test_the_values_of_the_forms_are_those_of_the_operators() -> None:
    rows = _RANDOM.normal(0, 1, _SHAPE).astype(np.float32)
    for kind, form in _REWRITTEN.items():
        plain, kept = _model(form, _ALONE), _model(form, _ALONE)
        keep_nan(kept)
        expected, found = (
            ov.Core().compile_model(one, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})(rows)[0] for one in (plain, kept)
        )
        at = rows >= 0 if kind == "Sqrt" else np.ones_like(expected, bool)
        assert np.allclose(found[at], expected[at], rtol=0, atol=1e-29), kind


def test_an_operator_that_is_not_known_is_refused() -> None:
    model = _model(lambda x: ops.log(x).output(0), _ALONE)
    with pytest.raises(BackendError, match=r"not known to keep NaN in Log .*; use --backend onnxruntime"):
        keep_nan(model)


def _classifier(activation: Callable[[Value], Value]) -> ov.Model:
    """Return a network of two convolutions whose labels are -1 where a logit is not finite."""
    pixels = ops.parameter(list(_SHAPE), np.float32, name="pixels")
    inner = activation(_convolution(pixels.output(0)))
    logits = ops.reduce_mean(_convolution(inner), np.array([2, 3]), False)
    is_sound = ops.reduce_logical_and(ops.is_finite(logits), np.array([1]), False)
    top = ops.convert(ops.squeeze(ops.topk(logits, np.int32(1), 1, "max", "value").output(1), np.int32(1)), np.int32)
    label = ops.select(is_sound, top, ops.constant(np.int32(-1)))
    return ov.Model([ops.result(label)], [pixels], "classifier")


def _lost(model: ov.Model) -> NDArray[np.bool_]:
    compiled = ov.Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return np.asarray(compiled(np.ones(_SHAPE, np.float32))[0]) == -1


def test_the_check_passes_a_graph_that_keeps_nan_and_refuses_one_that_loses_it() -> None:
    relu = _REWRITTEN["Relu"]
    kept = _classifier(relu)
    keep_nan(kept)
    assert check_nan_is_kept(kept, _lost).forms == 2
    with pytest.raises(BackendError, match=r"3 of 3 rows a vote although Convolution\S* gives NaN"):
        check_nan_is_kept(_classifier(relu), _lost)


def test_of_a_graph_without_layers_nothing_is_tried() -> None:
    assert check_nan_is_kept(_model(_KEEPING["Abs"], _ALONE), _lost).forms == 0
