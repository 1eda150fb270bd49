"""A graph that rounds to integers is taken only where a bound shows that nothing before that can overflow."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
from numpy.typing import NDArray
from onnx import NodeProto
from onnx.helper import make_node
from onnx.numpy_helper import from_array

from purecert.engine.errors import InputError
from purecert.engine.plans.plan import Plan
from support.plans import LABEL_CONSTANTS, Constants, label_nodes, write_test_plan

_SHAPE = (3, 4, 4)
_SCALE: Constants = {"scale": np.array(0.5, np.float32), "zero": np.array(128, np.uint8)}
_TO_INTEGERS = [
    make_node("QuantizeLinear", ["x", "scale", "zero"], ["steps"], name="rounding"),
    make_node("DequantizeLinear", ["steps", "scale", "zero"], ["rounded"]),
]
_HEAD = [
    make_node("GlobalAveragePool", ["rounded"], ["means"]),
    make_node("Flatten", ["means"], ["flat"]),
    make_node("Gemm", ["flat", "matrix"], ["logits"]),
]
_REFUSED = r"node 'rounding' \(QuantizeLinear\), which takes what is not shown to stay finite"


def _plan(directory: Path, before: Sequence[NodeProto], constants: Constants) -> Plan:
    """Write a plan of the nodes ``before``, from pixels to x, whose x is rounded to eighths and classified."""
    matrix = {"matrix": np.eye(3, 2, dtype=np.float32)}
    nodes = [*before, *_TO_INTEGERS, *_HEAD, *label_nodes()]
    return write_test_plan(directory, nodes, {**_SCALE, **matrix, **LABEL_CONSTANTS, **constants}, _SHAPE)


def _convolutions(factors: Sequence[float]) -> tuple[list[NodeProto], dict[str, NDArray[np.float32]]]:
    """Return convolutions in a row, each of three channels to three, whose weights are all a factor."""
    names = ["pixels", *(f"inner_{place}" for place in range(1, len(factors))), "x"]
    nodes = [make_node("Conv", [names[i], f"weights_{i}"], [names[i + 1]]) for i in range(len(factors))]
    weights = {f"weights_{i}": np.full((3, 3, 1, 1), factor, np.float32) for i, factor in enumerate(factors)}
    return nodes, weights


def test_layers_of_usual_sizes_are_taken_and_shown_finite(tmp_path: Path) -> None:
    plan = _plan(tmp_path, *_convolutions([0.5, 2.0, 0.1]))
    assert plan.is_finite_inside(0.5)


def test_finite_weights_that_overflow_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=_REFUSED):
        _plan(tmp_path, *_convolutions([1e6] * 6)).read_graph(0.5)


def test_the_bound_is_of_the_largest_sum_and_not_of_every_product(tmp_path: Path) -> None:
    # Twenty layers: sums of sizes grow by 30 a layer to 3e29 times the pixels, products of all by 90 beyond FP32.
    nodes, weights = _convolutions([10.0] * 20)
    assert _plan(tmp_path, nodes, weights).is_finite_inside(0.5)
    nodes, weights = _convolutions([10.0] * 22)
    with pytest.raises(InputError, match=_REFUSED):
        _plan(tmp_path / "deeper", nodes, weights).read_graph(0.5)


@pytest.mark.parametrize(
    ("nodes", "constants"),
    [
        pytest.param([make_node("Exp", ["pixels"], ["x"])], {}, id="an operator without a bound"),
        pytest.param([make_node("Div", ["pixels", "zero_row"], ["x"])], {"zero_row": np.float32([0])}, id="a quotient"),
        pytest.param([make_node("Add", ["pixels", "nan"], ["x"])], {"nan": np.float32([np.nan])}, id="a NaN constant"),
        pytest.param([make_node("Mul", ["pixels", "inf"], ["x"])], {"inf": np.float32([np.inf])}, id="infinity"),
        pytest.param([make_node("Identity", ["pixels"], ["x"])], {"scale": np.array(0, np.float32)}, id="a scale of 0"),
        pytest.param(
            [make_node("Identity", ["pixels"], ["x"])], {"scale": np.array(-0.5, np.float32)}, id="a negative scale"
        ),
        pytest.param(
            [make_node("Identity", ["pixels"], ["x"])], {"scale": np.array(1e-42, np.float32)}, id="a subnormal scale"
        ),
        pytest.param(
            [
                make_node("Constant", [], ["numbers"], value=from_array(np.float32([1, np.nan]).reshape(2, 1, 1, 1))),
                make_node("ReduceMean", ["numbers"], ["number"]),
                make_node("Mul", ["pixels", "number"], ["x"]),
            ],
            {},
            id="NaN in a Constant node",
        ),
        pytest.param(
            [make_node("HardSigmoid", ["pixels"], ["x"], beta=float("nan"))], {}, id="an attribute that is no number"
        ),
        pytest.param(
            [make_node("MaxPool", ["pixels"], ["x"], kernel_shape=[2, 2], dilations=[3, 3], pads=[1, 1, 1, 1])],
            {},
            id="a window of padding alone",
        ),
        pytest.param(
            [make_node("Conv", ["pixels", "large"], ["y"]), make_node("Mul", ["y", "small"], ["x"])],
            {"large": np.full((3, 3, 1, 1), 1e20, np.float32), "small": np.float32([1e-20])},
            id="weights that a runtime would multiply beyond FP32",
        ),
        pytest.param(
            [
                make_node("Mul", ["pixels", "tiny"], ["y"]),
                make_node("Cast", ["y"], ["bits"], to=9),
                make_node("Cast", ["bits"], ["z_0"], to=1),
                *(make_node("Mul", [f"z_{i}", "million"], [f"z_{i + 1}"]) for i in range(7)),
                make_node("Identity", ["z_7"], ["x"]),
            ],
            {"tiny": np.float32([1e-32]), "million": np.float32([1e6])},
            id="a cast to truth values enlarges",
        ),
        pytest.param(
            [make_node("Cast", ["pixels"], ["half"], to=10), make_node("Cast", ["half"], ["x"], to=1)],
            {},
            id="half on the way",
        ),
    ],
)
def test_what_no_bound_covers_is_refused(nodes: Sequence[NodeProto], constants: Constants, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=_REFUSED):
        _plan(tmp_path, nodes, constants).read_graph(0.5)


def test_what_comes_after_rounding_is_bounded_again(tmp_path: Path) -> None:
    """The bound of layers that are each rounded does not grow with their number."""
    nodes, weights = _convolutions([1e6] * 12)
    rounded: list[NodeProto] = []
    for place, node in enumerate(nodes):
        node.input[0] = f"given_{place}"
        source = "pixels" if place == 0 else nodes[place - 1].output[0]
        rounded += [
            make_node("QuantizeLinear", [source, "scale", "zero"], [f"steps_{place}"]),
            make_node("DequantizeLinear", [f"steps_{place}", "scale", "zero"], [f"given_{place}"]),
            node,
        ]
    assert _plan(tmp_path, rounded, weights).is_finite_inside(0.5)


def _normalised(kind: str, epsilon: float) -> tuple[list[NodeProto], Constants]:
    shape = _SHAPE if kind == "LayerNormalization" else (3,)
    axis = {"axis": 1} if kind == "LayerNormalization" else {}
    node = make_node(kind, ["pixels", "ones", "zeros"], ["x"], epsilon=epsilon, **axis)
    return [node], {"ones": np.ones(shape, np.float32), "zeros": np.zeros(shape, np.float32)}


@pytest.mark.parametrize("kind", ["InstanceNormalization", "LayerNormalization"])
def test_a_normalisation_is_bounded_by_its_epsilon(kind: str, tmp_path: Path) -> None:
    assert _plan(tmp_path / "usual", *_normalised(kind, 1e-5)).is_finite_inside(0.5)
    for epsilon in (0.0, -1e-5, float("nan")):  # of an image of one grey these give NaN
        with pytest.raises(InputError, match=_REFUSED):
            _plan(tmp_path / f"epsilon {epsilon}", *_normalised(kind, epsilon)).read_graph(0.5)


def test_onnx_runtime_gives_nan_a_number_there(tmp_path: Path) -> None:
    """The reason for all this: were it not so, the check of the logits would find the row."""
    plan = _plan(tmp_path, [make_node("Identity", ["pixels"], ["x"])], {})
    session = ort.InferenceSession(plan.read_graph(0.5), providers=["CPUExecutionProvider"])
    rows = np.full((2, *_SHAPE), np.nan, np.float32)
    assert (session.run(["label"], {"pixels": rows})[0] >= 0).all()
