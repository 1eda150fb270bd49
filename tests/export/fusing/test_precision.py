"""FP16 with FP32 islands, in the module and in the ONNX graph."""

import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto
from torch import Tensor, nn

from purecert.engine.errors import CheckError, InputError
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


# --- layers with parts


class _Seeing(nn.Module):
    """An activation that says which type it saw; with ``slope``, it has weights."""

    def __init__(self, *, slope: bool) -> None:
        super().__init__()
        self.inner: nn.Module = nn.PReLU(8) if slope else nn.SiLU()
        self.saw: set[torch.dtype] = set()

    def forward(self, x: Tensor) -> Tensor:
        self.saw.add(x.dtype)
        y: Tensor = self.inner(x)
        return y


class _BatchNormAct(nn.BatchNorm2d):
    """As timm's BatchNormAct2d: a batch normalisation that holds the activation after it."""

    def __init__(self, *, slope: bool = False) -> None:
        super().__init__(8)
        self.act = _Seeing(slope=slope)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.act(super().forward(x))
        return y


class _GroupNormAct(nn.GroupNorm):
    def __init__(self) -> None:
        super().__init__(2, 8)
        self.act = _Seeing(slope=True)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.act(super().forward(x))
        return y


class _FilterResponseNorm(nn.Module):
    """A normalisation of no class that PyTorch knows, with weights and buffers of its own and an activation."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.linspace(0.5, 2, 8)[:, None, None])
        self.register_buffer("shift", torch.full((8, 1, 1), 1 / 3))
        self.act = _Seeing(slope=False)

    def forward(self, x: Tensor) -> Tensor:
        scale = x.square().mean(dim=(2, 3), keepdim=True).rsqrt()  # beyond half where |x| is beyond 256
        y: Tensor = self.act(x * scale * self.weight + self.get_buffer("shift"))
        return y


class _Normalised(nn.Module):
    def __init__(self, norm: nn.Module) -> None:
        super().__init__()
        self.stem, self.norm = nn.Conv2d(1, 8, 3, padding=1), norm
        self.body, self.head = nn.Conv2d(8, 8, 3, padding=1), nn.Linear(8 * 64, 10)
        nn.init.normal_(self.stem.weight, std=150)  # to values whose squares half does not hold

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self.body(self.norm(self.stem(x))).flatten(1))
        return logits


def _trained(norm: nn.Module) -> FusedModel:
    """Return a network with that norm, whose running statistics fit its inputs."""
    with torch.random.fork_rng():
        torch.manual_seed(3)
        fused = FusedModel(_Normalised(norm)).train().requires_grad_(False)
        for _ in range(30):
            fused(torch.randint(-100, 356, (16, 1, 8, 8)).float())
    return fused.eval()


_NORMS: list[Callable[[], nn.Module]] = [
    _BatchNormAct,
    lambda: _BatchNormAct(slope=True),
    _GroupNormAct,
    _FilterResponseNorm,
]


@pytest.mark.parametrize("norm", _NORMS, ids=["batch", "batch and weights", "group and weights", "of its own"])
def test_a_normalisation_with_parts_is_one_island(norm: Callable[[], nn.Module]) -> None:
    fused = _trained(norm())
    half, islands = to_half(fused)
    assert list(islands) == ["network.norm", "network.head"]  # not its parts beside it
    types = {name: value.dtype for name, value in half.state_dict().items() if value.is_floating_point()}
    inside = {name for name in types if name.startswith(("network.norm.", "network.head."))}
    assert all((dtype == torch.float32) == (name in inside) for name, dtype in types.items())
    rows = torch.from_numpy(np.random.default_rng(0).integers(-100, 400, (64, 1, 8, 8)).astype(np.float32))
    exact, rounded = fused(rows)[1], half(rows.half())[1]
    assert float((exact - rounded).abs().max()) < 2e-2 * float(exact.abs().max())
    act = half.network.get_submodule("norm.act")
    assert isinstance(act, _Seeing)
    assert torch.float16 not in act.saw


@pytest.mark.slow  # a whole export
def test_a_batch_norm_with_an_activation_becomes_a_plan_in_half(make_plan: Callable[..., Plan], tmp_path: Path) -> None:
    plan = make_plan(_trained(_BatchNormAct()), tmp_path / "plan", "fp16")
    assert _computed_in(plan, "BatchNormalization") == [{TensorProto.FLOAT}]
    assert _computed_in(plan, "Conv") == 2 * [{TensorProto.FLOAT16}]
    assert "running statistics" in plan.record.fp32_islands["network.norm"]


class _Scaled(nn.Module):
    """A container that computes with a buffer of its own, so in FP32, and one layer after it."""

    def __init__(self, after: nn.Module) -> None:
        super().__init__()
        self.before, self.after = nn.Linear(8, 8), after
        self.register_buffer("scale", torch.full((8,), 1 / 3))

    def forward(self, x: Tensor) -> Tensor:
        y = self.before(x.flatten(1)) * self.get_buffer("scale")
        if isinstance(self.after, nn.MultiheadAttention):
            tokens = y.unflatten(1, (2, 4))
            y = self.after(tokens, tokens, tokens, need_weights=False)[0].flatten(1)
        else:
            y = self.after(y[:, :, None]).flatten(1)
        return y


@pytest.mark.parametrize(
    "after",
    [nn.MultiheadAttention(4, 2, batch_first=True), nn.utils.parametrizations.weight_norm(nn.Conv1d(8, 8, 1))],
    ids=["attention", "computed weights"],
)
def test_a_layer_made_for_half_takes_fp32_whatever_its_parts(after: nn.Module) -> None:
    fused = FusedModel(nn.Sequential(_Scaled(after), nn.Linear(8, 3))).eval()
    half, islands = to_half(fused)
    assert "network.0.after" not in islands
    assert "network.1" in islands
    rows = torch.arange(16.0).reshape(2, 1, 2, 4)
    torch.testing.assert_close(half(rows.half())[1], fused(rows)[1], atol=5e-3, rtol=5e-3)


def test_a_layer_that_attention_never_calls_is_no_head() -> None:
    attention = nn.MultiheadAttention(4, 2, batch_first=True)
    head = nn.Sequential(nn.Unflatten(1, (8, 1)), nn.Conv1d(8, 3, 1), nn.Flatten())
    fused = FusedModel(nn.Sequential(_Scaled(attention), head)).eval()
    half, islands = to_half(fused)
    assert list(islands) == ["network.0.before"]  # the last linear layer that is called
    rows = torch.arange(16.0).reshape(2, 1, 2, 4)
    torch.testing.assert_close(half(rows.half())[1], fused(rows)[1], atol=5e-3, rtol=5e-3)


def test_a_weight_that_an_island_shares_keeps_its_precision_there() -> None:
    first, last = nn.Linear(4, 4), nn.Linear(4, 4)
    last.weight = first.weight
    half, islands = to_half(FusedModel(nn.Sequential(nn.Flatten(), first, last)).eval())
    assert list(islands) == ["network.2"]
    types = {name: value.dtype for name, value in half.state_dict().items()}
    assert (types["network.1.weight"], types["network.2.weight"]) == (torch.float16, torch.float32)
    assert half(torch.zeros(2, 1, 2, 2, dtype=torch.float16))[1].shape == (2, 4)


def test_a_network_that_cannot_be_copied_is_refused_in_one_line() -> None:
    network = nn.Linear(4, 2)
    network.lock = threading.Lock()  # type: ignore[assignment]  # a module may hold anything
    with pytest.raises(
        InputError, match=r"copy\.deepcopy copies, got TypeError: cannot pickle .*--precision fp32"
    ) as told:
        to_half(FusedModel(network))
    assert "\n" not in str(told.value)
