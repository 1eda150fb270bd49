"""A graph that no engine should be built of is refused before the build, with the node's name."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from purecert.engine.backends.tensorrt.library import listen, load_library
from purecert.engine.backends.tensorrt.network import Product, Weight, check_network, parse_network
from purecert.engine.errors import BackendError, CheckError, InputError
from purecert.engine.plans.plan import GraphInput, Plan, PlanRecord
from support.plans import LABEL_CONSTANTS

pytestmark = pytest.mark.usefixtures("rtx")


def _products(onnx_model: bytes, record: PlanRecord) -> tuple[Product, ...]:
    module = load_library("tensorrt-rtx")
    logger, heard = listen(module)
    builder = module.Builder(logger)
    network = parse_network(module, builder, logger, heard, onnx_model)
    return check_network(module, network, onnx_model, record)


def test_the_demo_s_products_are_those_of_its_onnx_graph(half_plan: Plan, full_plan: Plan) -> None:
    for plan in (half_plan, full_plan):
        graph = onnx.load_from_string(plan.read_graph(0.5)).graph
        types = {weight.name: weight.data_type for weight in graph.initializer}
        expected = {
            node.name: types[node.input[1]] == TensorProto.FLOAT16
            for node in graph.node
            if node.op_type in ("Conv", "Gemm", "MatMul")
        }
        products = _products(plan.read_graph(0.5), plan.record)
        assert {product.node: product.in_half for product in products} == expected
        extents = {weight.name: tuple(weight.dims) for weight in graph.initializer}
        for node in graph.node:
            if node.name in expected:
                held = (Weight(name=node.input[1], extents=extents[node.input[1]]),)
                assert next(product for product in products if product.node == node.name).weights == held
        assert not any(product.is_fixed for product in products)
        assert len(products) == len(expected) == 24
        assert sum(product.in_half for product in products) == (23 if plan is half_plan else 0)


def test_a_float_product_that_is_no_declared_island_is_refused(half_plan: Plan) -> None:
    others = {path: why for path, why in half_plan.record.fp32_islands.items() if not path.endswith("fc")}
    with pytest.raises(
        CheckError, match=r"node node_linear\w* multiplies in FLOAT, expected HALF: .* declares no island"
    ):
        _products(half_plan.read_graph(0.5), replace(half_plan.record, fp32_islands=others))


def test_an_island_s_path_is_no_mere_beginning_of_a_name(half_plan: Plan) -> None:
    islands = {"network.classifier.f": "the beginning of fc's name"}
    with pytest.raises(CheckError, match="declares no island"):
        _products(half_plan.read_graph(0.5), replace(half_plan.record, fp32_islands=islands))


def test_a_graph_of_the_other_precision_is_refused(half_plan: Plan, full_plan: Plan) -> None:
    with pytest.raises(
        InputError, match=r"expected the graph's inputs \['pixels HALF of -1x1x8x8'\] .* found \['pixels F"
    ):
        _products(full_plan.read_graph(0.5), half_plan.record)
    disguised = replace(full_plan.record, precision="fp16")
    with pytest.raises(CheckError, match=r"node node_\w+ multiplies in FLOAT, expected HALF: the plan is fp16"):
        _products(full_plan.read_graph(0.5), disguised)
    disguised = replace(half_plan.record, precision="fp32")
    with pytest.raises(CheckError, match=r"node node_\w+ multiplies in HALF, expected FLOAT: the plan is fp32"):
        _products(half_plan.read_graph(0.5), disguised)


# --- graphs made node by node

_Nodes = Sequence[onnx.NodeProto]


def _model(nodes: _Nodes, outputs: Sequence[str] = ("label",), *, opset: int = 20) -> bytes:
    """Return an FP32 graph from 2 x 4 pixels to labels, whose rows are multiplied with ``weight``."""
    kinds = {"label": TensorProto.INT32}
    constants = {
        "weight": np.ones((8, 3), np.float32),
        "split": np.array([-1, 8], np.int64),
        "count": np.array(3, np.int64),
        "yes": np.array(True),
        **LABEL_CONSTANTS,
    }
    graph = helper.make_graph(
        list(nodes),
        "test",
        [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["batch", 2, 2, 2])],
        [helper.make_tensor_value_info(name, kinds.get(name, TensorProto.FLOAT), None) for name in outputs],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    imports = [helper.make_opsetid("", opset), helper.make_opsetid("elsewhere", 1)]
    return bytes(helper.make_model(graph, opset_imports=imports, ir_version=10).SerializeToString())


def _node(kind: str, inputs: str, outputs: str, name: str, **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(kind, inputs.split(), outputs.split(), name, **attributes)


_FLAT = _node("Reshape", "pixels split", "flat", "flatten")
_LOGITS = _node("MatMul", "flat weight", "logits", "product")
_LABEL = [
    _node("ArgMax", "logits", "wide", "argmax", axis=1, keepdims=0),
    _node("Cast", "wide", "label", "narrow", to=TensorProto.INT32),
]


@pytest.fixture
def record(full_plan: Plan) -> PlanRecord:
    """Return an FP32 record of 2 x 2 x 2 pixels."""
    pixels = GraphInput(name="pixels", shape=(2, 2, 2), dtype="float32")
    return replace(full_plan.record, inputs=(pixels,), classes=3, fp32_islands={})


def test_a_small_graph_is_taken(record: PlanRecord) -> None:
    weights = (Weight(name="weight", extents=(8, 3)),)
    expected = Product(node="product", in_half=False, weights=weights, is_fixed=False)
    assert _products(_model([_FLAT, _LOGITS, *_LABEL]), record) == (expected,)


def _loop() -> onnx.NodeProto:
    ends = [("i", TensorProto.INT64, []), ("on", TensorProto.BOOL, []), ("x", TensorProto.FLOAT, None)]
    inputs = [helper.make_tensor_value_info(*end) for end in ends]
    outputs = [helper.make_tensor_value_info(name, kind, None) for name, kind in (("more", 9), ("y", 1))]
    nodes = [_node("Identity", "on", "more", "go"), _node("Relu", "x", "y", "inner")]
    body = helper.make_graph(nodes, "body", inputs, outputs)
    return _node("Loop", "count yes flat", "looped", "the_loop", body=body)


def _if() -> onnx.NodeProto:
    out = helper.make_tensor_value_info("branch", TensorProto.FLOAT, None)
    branches = [
        helper.make_graph([_node(kind, "flat", "branch", "inner")], kind, [], [out]) for kind in ("Relu", "Neg")
    ]
    return _node("If", "yes", "looped", "the_if", then_branch=branches[0], else_branch=branches[1])


@pytest.mark.parametrize(
    ("node", "named"),
    [
        (lambda: _node("RandomNormalLike", "flat", "looped", "the_noise"), r"the_noise \(RandomNormalLike\) draws at"),
        (lambda: _node("Bernoulli", "flat", "looped", "the_coins"), r"the_coins \(Bernoulli\) draws at random"),
        (lambda: _node("GRU", "flat flat flat", "looped", "the_gru", hidden_size=3), r"the_gru \(GRU\) is a loop"),
        (_loop, r"the_loop \(Loop\)"),
        (_if, r"the_if \(If\)"),
        (lambda: _node("NonZero", "flat", "looped", "the_places"), r"the_places \(NonZero\)"),
        (lambda: _node("Compress", "flat yes", "looped", "the_some"), r"the_some \(Compress\)"),
    ],
)
def test_what_no_plan_may_hold_is_refused(record: PlanRecord, node: Callable[[], onnx.NodeProto], named: str) -> None:
    with pytest.raises(InputError, match=f"node {named}.*; export a model without it"):
        _products(_model([_FLAT, node(), _LOGITS, *_LABEL]), record)


def test_a_random_value_that_a_function_hides_is_refused(record: PlanRecord) -> None:
    hidden = helper.make_function(
        "elsewhere",
        "Stranger",
        ["x"],
        ["y"],
        [_node("RandomNormalLike", "x", "r", "noise"), _node("Add", "x r", "y", "sum")],
        [helper.make_opsetid("", 20)],
    )
    model = onnx.load_from_string(
        _model(
            [
                _FLAT,
                _node("Stranger", "flat", "odd", "the_stranger", domain="elsewhere"),
                _node("MatMul", "odd weight", "logits", "product"),
                *_LABEL,
            ]
        )
    )
    model.functions.append(hidden)
    with pytest.raises(InputError, match="brings values drawn at random"):
        _products(model.SerializeToString(), record)


def test_what_the_library_cannot_parse_is_refused_with_the_node_s_name(record: PlanRecord) -> None:
    stranger = _node("Stranger", "flat", "odd", "the_stranger", domain="elsewhere")
    with pytest.raises(BackendError, match=r"cannot take the plan's graph: node the_stranger \(Stranger\): "):
        _products(_model([_FLAT, stranger, _node("MatMul", "odd weight", "logits", "product"), *_LABEL]), record)


def test_a_second_output_is_refused(record: PlanRecord) -> None:
    with pytest.raises(InputError, match=r"expected the graph's only output label INT32 of -1, found \['label"):
        _products(_model([_FLAT, _LOGITS, *_LABEL], ["label", "logits"]), record)


def test_a_second_input_of_the_plan_must_be_the_graph_s(record: PlanRecord) -> None:
    noise = GraphInput(name="noise_1", shape=(1, 2, 2, 2), dtype="float32")
    with pytest.raises(
        InputError, match=r"expected the graph's inputs .*noise_1 FLOAT of -1x1x2x2x2.* found \['pixels"
    ):
        _products(_model([_FLAT, _LOGITS, *_LABEL]), replace(record, inputs=(*record.inputs, noise)))


def test_two_products_of_one_name_are_refused(record: PlanRecord) -> None:
    twin = _node("MatMul", "flat weight", "twin", "product")
    total = _node("Add", "twin once", "logits", "sum")
    once = _node("MatMul", "flat weight", "once", "product")
    with pytest.raises(InputError, match=r"node product \(MatMul\) cannot be followed into the network"):
        _products(_model([_FLAT, twin, once, total, *_LABEL]), record)
