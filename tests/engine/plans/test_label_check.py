"""A label follows from the logits that the plan names, row by row, and these are not made of a few values."""

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper, numpy_helper

from purecert.engine.errors import InputError
from purecert.engine.plans.graph_check import ExpectedEnds, check_graph
from support.hostile_graphs import ENDS
from support.plans import LABEL_CONSTANTS, label_nodes

_node = helper.make_node
_ARGMAX = _node("ArgMax", ["logits"], ["top64"], axis=1, keepdims=0)
_TO_LABEL = _node("Cast", ["top64"], ["label"], to=TensorProto.INT32)
_CONSTANTS: dict[str, NDArray[np.generic]] = {
    "matrix": np.arange(8, dtype=np.float32).reshape(4, 2),
    "off_on": np.array([0, 1], np.float32),
    "depth": np.array(2, np.int64),
    "scale": np.array(0.125, np.float32),
    "zero_point": np.array(0, np.uint8),
    "table": np.arange(4, dtype=np.float32).reshape(2, 2),
    "places": np.arange(64) < 8,
    "no": np.array(False),
    "zero": np.array(0, np.float32),
    **LABEL_CONSTANTS,
}


def _check(nodes: Sequence[NodeProto], ends: ExpectedEnds = ENDS) -> None:
    """Check a model of ``real`` [batch, 2], which a network would give, and ``nodes`` from there to ``label``."""
    start = [_node("Flatten", ["pixels"], ["flat"]), _node("MatMul", ["flat", "matrix"], ["real"])]
    graph = helper.make_graph(
        [*start, *nodes],
        "labels",
        [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["batch", 1, 2, 2])],
        [helper.make_tensor_value_info("label", TensorProto.INT32, ["batch"])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in _CONSTANTS.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    check_graph(model.SerializeToString(), ends)


def _invalid_where(*nodes: NodeProto) -> list[NodeProto]:
    """Return honest logits and the nodes to a label of -1 where the value ``invalid`` holds, which ``nodes`` give."""
    choose = _node("Where", ["invalid", "minus_one", "top"], ["label"])
    top = _node("Cast", ["top64"], ["top"], to=TensorProto.INT32)
    return [_node("Identity", ["real"], ["logits"]), *nodes, _ARGMAX, top, choose]


# What is named as logits, from ``real``: each takes a few values where the network takes many.
_COARSE: dict[str, list[NodeProto]] = {
    "Hardmax": [_node("Hardmax", ["real"], ["logits"])],
    "OneHot": [
        _node("ArgMax", ["real"], ["best"], axis=1, keepdims=0),
        _node("OneHot", ["best", "depth", "off_on"], ["logits"]),
    ],
    "a table's row": [
        _node("ArgMax", ["real"], ["best"], axis=1, keepdims=0),
        _node("Gather", ["table", "best"], ["logits"]),
    ],
    "Sign": [_node("Sign", ["real"], ["logits"])],
    **{kind: [_node(kind, ["real"], ["logits"])] for kind in ("Round", "Floor", "Ceil")},
    "rounded to eighths": [
        _node("Div", ["real", "scale"], ["eighths"]),
        _node("Round", ["eighths"], ["whole"]),
        _node("Mul", ["whole", "scale"], ["logits"]),
    ],
    "a comparison": [
        _node("Greater", ["real", "zero"], ["more"]),
        _node("Cast", ["more"], ["logits"], to=TensorProto.FLOAT),
    ],
    "chosen by a comparison": [
        _node("Greater", ["real", "zero"], ["more"]),
        _node("Where", ["more", "scale", "zero"], ["logits"]),
    ],
    "integers and back": [
        _node("Cast", ["real"], ["whole"], to=TensorProto.INT64),
        _node("Cast", ["whole"], ["logits"], to=TensorProto.FLOAT),
    ],
    "eight bits and back": [
        _node("Cast", ["real"], ["small"], to=TensorProto.FLOAT8E4M3FN),
        _node("Cast", ["small"], ["logits"], to=TensorProto.FLOAT),
    ],
    "quantised": [
        _node("QuantizeLinear", ["real", "scale", "zero_point"], ["steps"]),
        _node("DequantizeLinear", ["steps", "scale", "zero_point"], ["logits"]),
    ],
    "coarse in another form": [
        _node("Hardmax", ["real"], ["hard"]),
        _node("Softmax", ["hard"], ["soft"]),
        _node("Add", ["soft", "scale"], ["logits"]),
    ],
    "places of the largest": [
        _node("TopK", ["real", "two"], ["", "order"]),
        _node("Cast", ["order"], ["logits"], to=TensorProto.FLOAT),
    ],
    "a constant": [
        _node("Shape", ["real"], ["size"]),
        _node("Expand", ["off_on", "size"], ["logits"]),
    ],
}


@pytest.mark.parametrize("name", _COARSE)
def test_logits_of_a_few_values_are_refused_and_the_same_plan_without_logits_is_not(name: str) -> None:
    two = numpy_helper.from_array(np.array([2], np.int64), "two")
    nodes = [_node("Constant", [], ["two"], value=two), *_COARSE[name], *label_nodes()]
    if name == "places of the largest":  # both outputs of a node are named
        nodes[1].output[0] = "largest"
    with pytest.raises(InputError, match=r"logits 'logits' that take a few values only.*\"logits\": null"):
        _check(nodes)
    _check(nodes, ExpectedEnds(inputs=ENDS.inputs, logits=None, classes=2))


_OTHER = "a label that is not the place of the largest of 'logits'"
_CHOOSES = "a label that chooses between other things than one row of 'logits' and -1"
_logits = _node("Identity", ["real"], ["logits"])

# A label that does not follow from each row's logits: the nodes, and words of the refusal.
_LABELS: dict[str, tuple[list[NodeProto], str]] = {
    "of another tensor": (
        [
            _node("Mul", ["real", "scale"], ["logits"]),
            _node("ArgMax", ["real"], ["top64"], axis=1, keepdims=0),
            _TO_LABEL,
        ],
        _OTHER,
    ),
    "of what is computed from the logits": (
        [_logits, _node("Round", ["logits"], ["r"]), _node("ArgMax", ["r"], ["top64"], axis=1, keepdims=0), _TO_LABEL],
        _OTHER,
    ),
    "the smallest": ([_logits, _node("ArgMin", ["logits"], ["top64"], axis=1, keepdims=0), _TO_LABEL], _OTHER),
    "the last of several": (
        [_logits, _node("ArgMax", ["logits"], ["top64"], axis=1, keepdims=0, select_last_index=1), _TO_LABEL],
        _OTHER,
    ),
    "the largest of each column": (
        [
            _logits,
            _node("ReduceSum", ["logits", "class_axis"], ["sum"], keepdims=0),
            _node("IsNaN", ["sum"], ["invalid"]),
            _node("ArgMax", ["logits"], ["top64"], axis=0, keepdims=0),
            _node("Cast", ["top64"], ["top"], to=TensorProto.INT32),
            _node("Where", ["invalid", "minus_one", "top"], ["label"]),
        ],
        _OTHER,
    ),
    "a comparison": (
        [
            _logits,
            _node("ReduceSum", ["real", "class_axis"], ["sum"], keepdims=0),
            _node("Greater", ["sum", "zero"], ["more"]),
            _node("Cast", ["more"], ["label"], to=TensorProto.INT32),
        ],
        _OTHER,
    ),
    "through few integers": (
        [_logits, _ARGMAX, _node("Cast", ["top64"], ["b"], to=TensorProto.BOOL), _node("Cast", ["b"], ["label"], to=6)],
        _OTHER,
    ),
    "one of two labels": (
        [
            _logits,
            _node("ReduceSum", ["logits", "class_axis"], ["sum"], keepdims=0),
            _node("IsNaN", ["sum"], ["invalid"]),
            _node("Cast", ["invalid"], ["other"], to=TensorProto.INT32),
            _ARGMAX,
            _node("Cast", ["top64"], ["top"], to=TensorProto.INT32),
            _node("Where", ["invalid", "other", "top"], ["label"]),
        ],
        _CHOOSES,
    ),
    "invalid by other values": (
        _invalid_where(
            _node("ReduceSum", ["flat", "class_axis"], ["sum"], keepdims=0),
            _node("Greater", ["sum", "zero"], ["invalid"]),
        ),
        _CHOOSES,
    ),
    "invalid by the place": (_invalid_where(_node("Identity", ["places"], ["invalid"])), _CHOOSES),
    "invalid by the whole batch": (
        _invalid_where(
            _node("ReduceMax", ["logits"], ["most"], keepdims=0), _node("Greater", ["most", "zero"], ["invalid"])
        ),
        _CHOOSES,
    ),
    "invalid by the row before": (
        _invalid_where(
            _node("ReduceSum", ["logits", "class_axis"], ["sum"], keepdims=0),
            _node("CumSum", ["sum", "depth"], ["sums"]),
            _node("IsNaN", ["sums"], ["invalid"]),
        ),
        _CHOOSES,
    ),
}


@pytest.mark.parametrize("name", _LABELS)
def test_a_label_that_is_not_of_each_rows_logits_is_refused(name: str) -> None:
    nodes, words = _LABELS[name]
    with pytest.raises(InputError, match=words):
        _check(nodes)


@pytest.mark.parametrize(
    "nodes",
    [
        [_logits, *label_nodes()],
        [_logits, _ARGMAX, _TO_LABEL],
        [_node("Round", ["flat"], ["whole"]), _node("MatMul", ["whole", "matrix"], ["logits"]), _ARGMAX, _TO_LABEL],
        [_node("Cast", ["real"], ["half"], to=10), _node("Cast", ["half"], ["logits"], to=1), _ARGMAX, _TO_LABEL],
        [_node("Sign", ["real"], ["sign"]), _node("Mul", ["real", "sign"], ["logits"]), _ARGMAX, _TO_LABEL],
    ],
    ids=["as exported", "no invalid rows", "rounded inside", "through half", "of coarse and fine"],
)
def test_what_honest_plans_hold_passes(nodes: list[NodeProto]) -> None:
    _check(nodes)
