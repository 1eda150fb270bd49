"""What no engine can be built of is refused at export, with the node's name."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn
from torch.nn import functional

from purecert.engine.errors import InputError
from purecert.engine.plans.plan import Plan, Precision
from purecert.export.fusing.fuse import FusedModel
from purecert.export.graph.rules import check_graph

pytestmark = pytest.mark.slow  # exports graphs

MakePlan = Callable[..., Plan]


class _Plain(nn.Module):
    """Logits of 8 x 8 pixels; a subclass changes what the head sees."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self.seen(x.flatten(1)))
        return logits

    def seen(self, x: Tensor) -> Tensor:
        return x


class _WithDoubles(_Plain):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("scale", torch.full((64,), 0.5, dtype=torch.float64))

    def seen(self, x: Tensor) -> Tensor:
        return (x * self.get_buffer("scale")).to(torch.float32)


class _WithPlaces(_Plain):
    def seen(self, x: Tensor) -> Tensor:
        return x + torch.nonzero(x).sum().to(x.dtype)


class _WithBareProduct(_Plain):
    """A matrix product of a container, which stays in FP32 and belongs to no island."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(64, 64)
        self.mixing = nn.Parameter(torch.eye(64))

    def seen(self, x: Tensor) -> Tensor:
        return self.inner(x).to(torch.float32) @ self.mixing.to(torch.float32)


class _FixedFilter(nn.Module):
    """A filter of its own, repeated for every channel: a declared island."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("taps", torch.tensor([[1.0, 2.0, 1.0]]) / 4)

    def forward(self, x: Tensor) -> Tensor:
        return functional.conv2d(x, self.get_buffer("taps")[None, None].expand(1, 1, 1, 3), padding=(0, 1))


class _WithIsland(_Plain):
    def __init__(self) -> None:
        super().__init__()
        self.blur = _FixedFilter()

    def seen(self, x: Tensor) -> Tensor:
        blurred: Tensor = self.blur(x.unflatten(1, (1, 8, 8))).flatten(1)
        return blurred


def _fused(network: nn.Module) -> FusedModel:
    return FusedModel(network).eval().requires_grad_(False)


def _refused(network: nn.Module, make_plan: MakePlan, output: Path, precision: Precision) -> str:
    with pytest.raises(InputError) as caught:
        make_plan(_fused(network), output, precision)
    assert not output.exists()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_double_buffer_is_refused(make_plan: MakePlan, tmp_path: Path) -> None:
    message = _refused(_WithDoubles(), make_plan, tmp_path / "plan", "fp32")
    assert message.startswith("node node_")
    assert "as DOUBLE, which engines do not compute in; turn the module's weights and constants to float32" in message


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_nonzero_is_refused(make_plan: MakePlan, tmp_path: Path, precision: Precision) -> None:
    message = _refused(_WithPlaces(), make_plan, tmp_path / "plan", precision)
    assert message.startswith("node node_")
    assert "(NonZero) gives shapes or work that depend on values" in message


def test_a_product_kept_in_fp32_is_refused_in_an_fp16_plan(make_plan: MakePlan, tmp_path: Path) -> None:
    message = _refused(_WithBareProduct(), make_plan, tmp_path / "plan", "fp16")
    assert message.startswith("node node_")
    assert "in FP32, in an FP16 plan and outside of its FP32 islands" in message
    make_plan(_fused(_WithBareProduct()), tmp_path / "plan", "fp32")


def test_a_product_of_a_declared_island_may_be_in_fp32(make_plan: MakePlan, tmp_path: Path) -> None:
    """Its weights are what the exporter folded, and they are named after the module."""
    plan = make_plan(_fused(_WithIsland()), tmp_path / "plan", "fp16")
    graph = onnx.load_from_string(plan.read_graph(plan.record.graphs[0].sigma)).graph
    types = {weight.name: weight.data_type for weight in graph.initializer}
    (convolution,) = [node for node in graph.node if node.op_type == "Conv"]
    assert types[convolution.input[1]] == TensorProto.FLOAT
    assert convolution.input[1].startswith("network.blur.")
    assert "network.blur" in plan.record.fp32_islands


# --- graphs that PyTorch's exporter would not write


def _model(nodes: Sequence[onnx.NodeProto], *, dtype: int = TensorProto.FLOAT, domain: str = "elsewhere") -> bytes:
    weights = [
        numpy_helper.from_array(np.ones((4, 3), np.float32), "module.weight"),
        numpy_helper.from_array(np.ones((4, 3), np.float16), "half.weight"),
        numpy_helper.from_array(np.array([2, 3], np.int64), "ends"),
        numpy_helper.from_array(np.array([1], np.int64), "one"),
    ]
    ends = [
        [helper.make_tensor_value_info("pixels", dtype, ["batch", 4])],
        [helper.make_tensor_value_info("label", TensorProto.INT32, ["batch"])],
    ]
    graph = helper.make_graph(list(nodes), "test", *ends, weights)
    imports = [helper.make_opsetid("", 20), helper.make_opsetid(domain, 1)]
    return bytes(helper.make_model(graph, opset_imports=imports).SerializeToString())


def _label(value: str) -> list[onnx.NodeProto]:
    return [
        helper.make_node("ArgMax", [value], ["wide"], "argmax", axis=1, keepdims=0),
        helper.make_node("Cast", ["wide"], ["label"], "narrow", to=TensorProto.INT32),
    ]


_PRODUCT = helper.make_node("MatMul", ["pixels", "module.weight"], ["logits"], "product")


def test_a_plain_graph_passes() -> None:
    check_graph(_model([_PRODUCT, *_label("logits")]), "fp32", {})


def test_an_operator_of_another_domain_is_refused() -> None:
    odd = helper.make_node("Odd", ["pixels"], ["odd"], "the_odd", domain="elsewhere")
    with pytest.raises(InputError, match=r"node the_odd is elsewhere::Odd, which is none of ONNX's own operators"):
        check_graph(_model([odd, _PRODUCT, *_label("logits")]), "fp32", {})


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        *((kind, "draws at random") for kind in ("RandomNormalLike", "RandomUniformLike", "Bernoulli", "Multinomial")),
        *((kind, "is a loop") for kind in ("RNN", "GRU", "LSTM")),
        ("DynamicQuantizeLinear", "takes its scale over the whole batch"),
    ],
)
def test_what_is_no_function_of_the_pixels_or_loops_is_refused(kind: str, why: str) -> None:
    odd = helper.make_node(kind, ["pixels"], ["odd"], "the_odd")
    with pytest.raises(InputError, match=rf"node the_odd \({kind}\) {why}, and "):
        check_graph(_model([odd, _PRODUCT, *_label("logits")]), "fp32", {})


def test_a_product_in_bfloat16_is_refused_by_that_name() -> None:
    nodes = [
        helper.make_node("Cast", ["pixels"], ["short"], "shorten", to=TensorProto.BFLOAT16),
        helper.make_node("Cast", ["module.weight"], ["short_weight"], "shorten_weight", to=TensorProto.BFLOAT16),
        helper.make_node("MatMul", ["short", "short_weight"], ["product"], "the_product"),
        helper.make_node("Cast", ["product"], ["logits"], "widen", to=TensorProto.FLOAT),
    ]
    model = _model([*nodes, *_label("logits")], dtype=TensorProto.FLOAT16)
    for islands in ({}, {"module": "declared"}):
        with pytest.raises(InputError, match=r"multiplies weights module.weight in BFLOAT16, in an FP16 plan"):
            check_graph(model, "fp16", islands)


_LARGEST = [
    helper.make_node("ReduceMax", ["pixels"], ["most"], "most", keepdims=0),
    helper.make_node("Cast", ["most"], ["whole"], "whole", to=TensorProto.INT64),
    helper.make_node("Reshape", ["whole", "one"], ["count"], "count"),
    helper.make_node("Concat", ["one", "count"], ["sizes"], "sizes", axis=0),
]


@pytest.mark.parametrize(
    "node",
    [
        helper.make_node("TopK", ["pixels", "count"], ["some", "places"], "the_some", axis=1),
        helper.make_node("Tile", ["pixels", "sizes"], ["some"], "the_some"),
        helper.make_node("Slice", ["pixels", "one", "count", "one"], ["some"], "the_some"),
    ],
    ids=["TopK", "Tile", "Slice"],
)
def test_a_shape_that_depends_on_values_is_refused(node: onnx.NodeProto) -> None:
    with pytest.raises(InputError, match=r"node the_some \(\w+\) gives some a shape that is not fixed by the batch"):
        check_graph(_model([*_LARGEST, node, _PRODUCT, *_label("logits")]), "fp32", {})


@pytest.mark.parametrize("kind", ["MatMul", "Gemm", "Einsum", "Conv", "ConvTranspose"])
def test_every_kind_of_product_in_fp32_is_refused_in_an_fp16_plan(kind: str) -> None:
    model = _model(_float_product(kind), dtype=TensorProto.FLOAT16)
    with pytest.raises(InputError, match=rf"node the_product \({kind}\) multiplies weights module.weight in FP32"):
        check_graph(model, "fp16", {})
    with pytest.raises(InputError, match="outside of its FP32 islands"):
        check_graph(model, "fp16", {"mod": "the beginning of a name"})
    check_graph(model, "fp16", {"module": "declared"})
    check_graph(model, "fp32", {})


def _float_product(kind: str) -> list[onnx.NodeProto]:
    """Return the nodes from half pixels to labels through one product in FP32, whose convolutions are 1 x 1."""
    nodes = [helper.make_node("Cast", ["pixels"], ["wide_pixels"], "widen", to=TensorProto.FLOAT)]
    inputs, out = ["wide_pixels", "module.weight"], "logits"
    if kind.startswith("Conv"):
        order = [1, 0] if kind == "Conv" else [0, 1]
        nodes += [
            helper.make_node("Unsqueeze", ["wide_pixels", "ends"], ["image"], "image"),
            helper.make_node("Transpose", ["module.weight"], ["turned"], "turn", perm=order),
            helper.make_node("Unsqueeze", ["turned", "ends"], ["kernel"], "kernel"),
        ]
        inputs, out = ["image", "kernel"], "map"
    attributes = {"equation": "bi,io->bo"} if kind == "Einsum" else {}
    nodes.append(helper.make_node(kind, inputs, [out], "the_product", **attributes))
    if out == "map":
        nodes.append(helper.make_node("Squeeze", ["map", "ends"], ["logits"], "flatten"))
    return [*nodes, *_label("logits")]


def test_a_half_product_passes() -> None:
    product = helper.make_node("MatMul", ["pixels", "half.weight"], ["logits"], "product")
    check_graph(_model([product, *_label("logits")], dtype=TensorProto.FLOAT16), "fp16", {})
