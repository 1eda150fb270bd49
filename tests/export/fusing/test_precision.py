"""FP16 with FP32 islands, in the module and in the ONNX graph."""

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto
from torch import Tensor, nn

from purecert.engine.errors import CheckError
from purecert.engine.plans.plan import Plan
from purecert.export.fusing.fuse import FusedModel
from purecert.export.fusing.precision import to_half


def _types(plan: Plan) -> tuple[onnx.ModelProto, dict[str, int]]:
    """Return the plan's graph and the element type of every value in it."""
    model = onnx.shape_inference.infer_shapes(onnx.load_from_string(plan.read_graph(plan.record.graphs[0].sigma)))
    values = [*model.graph.value_info, *model.graph.input, *model.graph.output]
    types = {value.name: value.type.tensor_type.elem_type for value in values}
    return model, types | {weight.name: weight.data_type for weight in model.graph.initializer}


def _computed_in(plan: Plan, operator: str) -> list[set[int]]:
    """Return, for each node of the kind, the floating types of its inputs and outputs."""
    model, types = _types(plan)
    floats = {TensorProto.FLOAT, TensorProto.FLOAT16}
    nodes = [node for node in model.graph.node if node.op_type == operator]
    return [{types[name] for name in (*node.input, *node.output) if types.get(name) in floats} for node in nodes]


def test_normalisations_and_the_head_are_islands_and_nothing_else(fp16_plan: Plan) -> None:
    islands = fp16_plan.record.fp32_islands
    assert list(islands) == ["network.norm", "network.batch_norm", "network.head", "(every softmax)"]
    words = ("divides by a statistic", "running statistics", "the vote", "exponentials")
    assert all(word in reason for word, reason in zip(words, islands.values(), strict=True))


@pytest.mark.parametrize("operator", ["InstanceNormalization", "BatchNormalization", "Softmax", "Gemm"])
def test_islands_are_fp32_in_the_onnx_graph(fp16_plan: Plan, operator: str) -> None:
    assert _computed_in(fp16_plan, operator) == [{TensorProto.FLOAT}]


def test_convolutions_are_half_in_the_onnx_graph(fp16_plan: Plan) -> None:
    assert _computed_in(fp16_plan, "Conv") == 3 * [{TensorProto.FLOAT16}]


def test_the_first_affine_and_the_logits_are_fp32_in_the_onnx_graph(fp16_plan: Plan) -> None:
    model, types = _types(fp16_plan)
    assert types["pixels"] == TensorProto.FLOAT16
    first = model.graph.node[0]
    assert first.op_type == "Cast"
    assert types[first.output[0]] == TensorProto.FLOAT
    assert types["logits"] == TensorProto.FLOAT


def test_an_fp32_graph_holds_no_half(fp32_plan: Plan) -> None:
    assert TensorProto.FLOAT16 not in _types(fp32_plan)[1].values()


def test_the_original_keeps_its_precision(network: FusedModel) -> None:
    half, _ = to_half(network)
    assert {weight.dtype for weight in network.parameters()} == {torch.float32}
    assert {weight.dtype for weight in half.parameters()} == {torch.float32, torch.float16}
    assert (network.dtype, half.dtype) == (torch.float32, torch.float16)


def test_half_is_close_to_full_precision(network: FusedModel) -> None:
    half, _ = to_half(network)
    rows = torch.from_numpy(np.random.default_rng(0).integers(-100, 400, (64, 1, 8, 8)).astype(np.float32))
    exact, rounded = network(rows)[1], half(rows.half())[1]
    assert rounded.dtype == torch.float32
    assert float((exact - rounded).abs().max()) < 2e-2 * float(exact.abs().max())


class Filtered(nn.Module):
    """A fixed filter as a part of its own, a schedule in a container, and a weight in a container."""

    scale: Tensor
    schedule: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.normalise = Scaled()
        self.head = nn.Linear(4, 2)
        self.offset = nn.Parameter(torch.ones(4))
        self.register_buffer("schedule", torch.tensor([1e-6, 1.0]))

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head((self.normalise(x) + self.offset) * self.schedule[1])
        return logits


class Scaled(nn.Module):
    scale: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("scale", torch.full((4,), 1 / 3))

    def forward(self, x: Tensor) -> Tensor:
        assert x.dtype == torch.float32
        return x * self.scale


def test_constants_that_are_no_weights_keep_their_precision() -> None:
    half, islands = to_half(FusedModel(Filtered()).eval())
    assert list(islands) == ["network.normalise", "network.head"]
    types = {name: value.dtype for name, value in half.state_dict().items()}
    assert types["network.offset"] == torch.float16
    assert types["network.schedule"] == types["network.normalise.scale"] == torch.float32
    assert half(torch.zeros(3, 4, dtype=torch.float16))[1].shape == (3, 2)


def test_a_weight_beyond_half_is_refused_by_name() -> None:
    convolution = nn.Conv2d(1, 1, 1)
    nn.init.constant_(convolution.weight, 7e4)
    with pytest.raises(CheckError, match=r"network\.0\.weight reaches 70000, beyond FP16's 65,504.*--precision fp32"):
        to_half(FusedModel(nn.Sequential(convolution, nn.Flatten())))
