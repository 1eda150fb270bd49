"""Operations of graphs counted by hand, and of whole models by PyTorch's own counter."""

from collections.abc import Mapping, Sequence

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from purecert.engine.errors import InputError
from purecert.export.fusing.fold import fold
from purecert.export.fusing.fuse import graph_inputs
from purecert.export.graph.flops import count_flops
from purecert.export.graph.program import export_program, onnx_bytes
from support.small_models import small_model

_SIGMA = 0.5


def _model(
    nodes: Sequence[onnx.NodeProto],
    shape: Sequence[int | str],
    weights: Mapping[str, Sequence[int]] | None = None,
    domains: Sequence[str] = ("",),
) -> bytes:
    """Return a graph from ``x`` [batch, *shape] to ``y``, with weights of the given shapes."""
    graph = helper.make_graph(
        list(nodes),
        "test",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", *shape])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.zeros(size, np.float32), name) for name, size in (weights or {}).items()],
    )
    opsets = [helper.make_opsetid(domain, 23 if not domain else 1) for domain in domains]
    return bytes(helper.make_model(graph, opset_imports=opsets, ir_version=10).SerializeToString())


def _node(kind: str, *inputs: str, **attributes: object) -> onnx.NodeProto:
    return helper.make_node(kind, ["x", *inputs], ["y"], **attributes)


@pytest.mark.parametrize(
    ("node", "shape", "weights", "multiply_adds"),
    [
        # 5 x 7 places (padded), 8 channels out, 3 channels in, 3 x 3 taps.
        (_node("Conv", "w", pads=[1, 1, 1, 1]), (3, 5, 7), {"w": (8, 3, 3, 3)}, 5 * 7 * 8 * 3 * 9),
        # Every second place of 8 x 8, and each of 2 groups sees 3 of 6 channels.
        (_node("Conv", "w", strides=[2, 2], group=2), (6, 8, 8), {"w": (4, 3, 2, 2)}, 4 * 4 * 4 * 3 * 4),
        # Each of 6 x 16 values in goes to 5 channels, 4 x 4 taps.
        (_node("ConvTranspose", "w", strides=[2, 2]), (6, 4, 4), {"w": (6, 5, 4, 4)}, 6 * 16 * 5 * 16),
        (_node("ConvTranspose", "w", group=3), (6, 4, 4), {"w": (6, 2, 3, 3)}, 6 * 16 * 2 * 9),
        (_node("Gemm", "w"), (12,), {"w": (12, 10)}, 12 * 10),
        (_node("Gemm", "w", transB=1), (12,), {"w": (10, 12)}, 12 * 10),
        (_node("Gemm", "w", transA=1), (12,), {"w": (1, 10)}, 12 * 10),
        (_node("MatMul", "w"), (4, 6), {"w": (6, 9)}, 4 * 6 * 9),
        (_node("MatMul", "w"), (2, 4, 6), {"w": (2, 6, 9)}, 2 * 4 * 6 * 9),
        (_node("MatMul", "w"), (4, 6), {"w": (6,)}, 4 * 6),
        # 2 heads, 5 queries, 7 keys of width 3, values of width 4.
        (_node("Attention", "k", "v"), (2, 5, 3), {"k": (1, 2, 7, 3), "v": (1, 2, 7, 4)}, 2 * 5 * 7 * (3 + 4)),
        # The same with the heads side by side in the width.
        (
            _node("Attention", "k", "v", q_num_heads=2, kv_num_heads=2),
            (5, 6),
            {"k": (1, 7, 6), "v": (1, 7, 8)},
            2 * 5 * 7 * (3 + 4),
        ),
        (_node("Relu"), (3, 5), {}, 0),
    ],
)
def test_a_node_counts_two_for_each_multiply_add(
    node: onnx.NodeProto, shape: Sequence[int], weights: Mapping[str, Sequence[int]], multiply_adds: int
) -> None:
    assert count_flops(_model([node], shape, weights)) == 2 * multiply_adds


def test_nodes_add_up_through_shapes_that_are_computed() -> None:
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["features"]),
        helper.make_node("Shape", ["features"], ["size"], end=1),
        helper.make_node("Concat", ["size", "rest"], ["flat_size"], axis=0),
        helper.make_node("Reshape", ["features", "flat_size"], ["flat"]),
        helper.make_node("MatMul", ["flat", "m"], ["y"]),
    ]
    model = onnx.load_from_string(_model(nodes, (3, 6, 6), {"w": (4, 3, 3, 3), "m": (64, 10)}))
    model.graph.initializer.append(numpy_helper.from_array(np.array([-1], np.int64), "rest"))
    assert count_flops(bytes(model.SerializeToString())) == 2 * (16 * 4 * 27 + 64 * 10)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("purifier", "classifier"),
    [
        pytest.param("consistency, NCSN++", "ViT", marks=pytest.mark.nightly),
        ("FFDNet", "WideResNet, block"),
    ],
)
def test_whole_models_count_as_pytorch_counts_them(purifier: str, classifier: str) -> None:
    model = small_model(purifier, classifier)
    module, inputs = fold(model, _SIGMA), graph_inputs(model, [_SIGMA], "fp32")
    found = count_flops(onnx_bytes(export_program(module, inputs), inputs))
    # The CPU's fused attention is not counted; its formula written out is.
    with torch.inference_mode(), sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        module(torch.zeros(1, *model.input_shape))
    assert found == counter.get_total_flops() > 0


@pytest.mark.parametrize(
    ("node", "domain", "words"),
    [
        (_node("Einsum", "w", equation="bij,jk->bik"), "", "operations of Einsum are not counted"),
        (_node("FusedMatMul", "w", domain="com.microsoft"), "com.microsoft", "operations of com.microsoft.FusedMatMul"),
    ],
)
def test_products_that_are_not_known_are_an_error(node: onnx.NodeProto, domain: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        count_flops(_model([node], (4, 6), {"w": (6, 9)}, dict.fromkeys(["", domain])))


def test_a_shape_that_is_not_known_is_an_error() -> None:
    nodes = [helper.make_node("NonZero", ["x"], ["places"]), helper.make_node("Cast", ["places"], ["z"], to=1)]
    nodes.append(helper.make_node("MatMul", ["z", "w"], ["y"]))
    with pytest.raises(InputError, match="MatMul cannot be counted"):
        count_flops(_model(nodes, (4,), {"w": (6, 9)}))


def test_what_is_no_graph_is_an_error() -> None:
    with pytest.raises(InputError, match="expected an ONNX graph"):
        count_flops(b"\x00not a graph")
