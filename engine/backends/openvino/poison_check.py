"""The check that a NaN born in any layer of an OpenVINO graph reaches the logits of every row of the batch.

Layers are poisoned one at a time: all that computes one channel of it is NaN, in the very graph that will run, at its
batch and on this processor. Layers of one form run in one kernel, so one of each form is tried.
"""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from time import monotonic

import numpy as np
from numpy.typing import NDArray

from purecert.engine.backends.openvino.runtime import ops, ov
from purecert.engine.errors import BackendError

_log = logging.getLogger("purecert")
_LAYERS = ("Convolution", "ConvolutionBackpropData", "GroupConvolution", "GroupConvolutionBackpropData", "MatMul")
_SILENT_SECONDS = 2.0

Run = Callable[[ov.Model], NDArray[np.bool_]]
"""Compiles a model as the backend does; returns of each row of one batch whether it is without a number."""


@dataclass(frozen=True, kw_only=True, slots=True)
class KeptNan:
    """What the check found, for the plan's cache: how many forms of layers were poisoned, all of them seen."""

    forms: int


def masks_rows(model: ov.Model) -> bool:
    """Return whether the graph looks for logits that are not finite, as every exported one does."""
    return any(node.get_type_name() in ("IsInf", "IsNaN", "IsFinite") for node in model.get_ordered_ops())


def check_nan_is_kept(model: ov.Model, run: Run, *, last_alone: bool = False) -> KeptNan:
    """Return how many forms of layers were tried; none where no layer has weights.

    ``last_alone`` tries the last layer only.

    Raises:
        BackendError: A row had numbers although a layer gave it NaN.
    """
    began, is_said, tried = monotonic(), False, 0
    last = [place for place, _, _ in _layers(model)][-1:]
    for place in last if last_alone else _of_each_form(model):
        name, poisoned = _poisoned(model, place)
        lost = run(poisoned)
        tried += 1
        if not lost.all():
            raise BackendError(
                f"OpenVINO {ov.__version__} gives {int((~lost).sum())} of {len(lost)} rows a vote although {name} "
                "gives NaN; a row that overflows there would be counted: use --backend onnxruntime"
            )
        if not is_said and monotonic() - began > _SILENT_SECONDS:
            is_said = True
            _log.warning("checking that a row that overflows inside OpenVINO gets no vote; the result is kept")
    return KeptNan(forms=tried)


def _layers(model: ov.Model) -> Iterator[tuple[int, ov.Node, ov.Node]]:
    """Yield the place of each layer among the operators, the layer, and its weights."""
    for place, node in enumerate(model.get_ordered_ops()):
        if node.get_type_name() in _LAYERS and (weights := _weights(node.input_value(1))) is not None:
            yield place, node, weights


def _of_each_form(model: ov.Model) -> list[int]:
    """Return the places of the first layers of each form."""
    first: dict[tuple[str, ...], int] = {}
    for place, node, _ in _layers(model):
        first.setdefault(_form(node), place)
    return list(first.values())


def _poisoned(model: ov.Model, place: int) -> tuple[str, ov.Model]:
    """Return the name of the layer at ``place``, and the model with it poisoned."""
    copy = model.clone()
    layer = copy.get_ordered_ops()[place]
    weights = _weights(layer.input_value(1))
    assert weights is not None  # it is one of the layers
    layer.input(1).replace_source_output(_with_nan(layer, weights).output(0))
    return layer.get_friendly_name(), copy


def _weights(source: ov.Output) -> ov.Node | None:
    """Return the constant that a layer's weights are, whose type may be converted on the way."""
    node = source.get_node()
    while node.get_type_name() == "Convert":
        node = node.input_value(0).get_node()
    return node if node.get_type_name() == "Constant" else None


def _form(node: ov.Node) -> tuple[str, ...]:
    """Return what a kernel is chosen by: operator, sizes, options, and the operators that may be fused after it."""
    after, source = [], node
    for _ in range(4):
        consumers = [target.get_node() for target in source.output(0).get_target_inputs()]
        after.append(",".join(sorted(consumer.get_type_name() for consumer in consumers)))
        if len(consumers) != 1 or not consumers[0].outputs():
            break
        source = consumers[0]
    sizes = [str(value.get_partial_shape()) for value in (node.output(0), *node.input_values())]
    return (node.get_type_name(), *sizes, str(node.get_attributes()), *after)


def _with_nan(layer: ov.Node, weights: ov.Node) -> ov.Node:
    """Return the weights with NaN in all that computes the first channel, or the first channel of each group."""
    values = np.array(weights.get_data(), np.float32)
    kind = layer.get_type_name()
    if kind == "MatMul":
        axis = values.ndim - (2 if layer.get_attributes()["transpose_b"] and values.ndim > 1 else 1)
    else:
        axis = {"Convolution": 0, "ConvolutionBackpropData": 1, "GroupConvolution": 1}.get(kind, 2)
    np.moveaxis(values, axis, 0)[0] = np.nan
    constant = ops.constant(values)
    wanted = layer.input_value(1).get_element_type()
    return constant if wanted == ov.Type.f32 else ops.convert(constant, wanted)
