"""Global average pooling is a mean, whatever memory it pools."""

from collections.abc import Callable

import onnx
import onnxruntime as ort
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from purecert.engine.plans.plan import GraphInput
from purecert.export.fusing.fuse import FusedModel
from purecert.export.graph.program import export_program, onnx_bytes
from purecert.export.graph.rules import check_graph

_INPUTS = (GraphInput(name="pixels", shape=(3, 4, 6), dtype="float32"),)

_POOLINGS: dict[str, Callable[[Tensor], Tensor]] = {
    "1d": lambda x: functional.adaptive_avg_pool1d(x.flatten(2), 1),
    "2d": nn.AdaptiveAvgPool2d(1),
    "2d by a pair": lambda x: functional.adaptive_avg_pool2d(x, (1, 1)),
    "2d of channels-last": lambda x: functional.adaptive_avg_pool2d(_channels_last(x), 1),
    "3d of channels-last": lambda x: functional.adaptive_avg_pool3d(
        x.permute(0, 2, 3, 1).unsqueeze(1).permute(0, 4, 1, 2, 3), 1
    ),
}


def _channels_last(x: Tensor) -> Tensor:
    return x.contiguous(memory_format=torch.channels_last)


class _Pooled(nn.Module):
    """A pooling after a permutation to channels last and back, as ConvNeXt's linear layers leave it."""

    def __init__(self, pool: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.stem, self.mix, self.pool = nn.Conv2d(3, 5, 3, padding=1), nn.Linear(5, 5), pool

    def forward(self, x: Tensor) -> Tensor:
        x = self.mix(self.stem(x).permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        return self.pool(x).flatten(1)


def _fused(name: str) -> FusedModel:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return FusedModel(_Pooled(_POOLINGS[name])).eval().requires_grad_(False)


def _rows() -> Tensor:
    return torch.randint(-300, 600, (9, 3, 4, 6), generator=torch.Generator().manual_seed(0)).float()


@pytest.mark.parametrize("name", _POOLINGS)
def test_pooling_to_one_value_gives_the_same_bits(name: str) -> None:
    fused = _fused(name)
    program = export_program(fused, _INPUTS)
    assert not [node for node in program.graph.nodes if "adaptive" in str(node.target)]
    assert torch.equal(program.module()(_rows())[1], fused(_rows())[1])


@pytest.mark.parametrize("size", [(1, 2), (2, 1), (2, 3)])
def test_pooling_to_more_values_stays(size: tuple[int, int]) -> None:
    fused = FusedModel(_Pooled(nn.AdaptiveAvgPool2d(size))).eval()
    program = export_program(fused, _INPUTS)
    assert len([node for node in program.graph.nodes if "adaptive" in str(node.target)]) == 1
    torch.testing.assert_close(program.module()(_rows())[1], fused(_rows())[1])


class _AllPooled(nn.Module):
    """Every kind of pooling of one channels-last tensor."""

    def forward(self, x: Tensor) -> Tensor:
        last = _channels_last(x)
        return torch.cat([pool(last).flatten(1) * place for place, pool in enumerate(_POOLINGS.values(), start=1)], 1)


@pytest.mark.slow  # exports a graph
def test_pooled_channels_last_tensors_pass_the_rules() -> None:
    """Without the means, their ONNX graph gathers by a Range, whose shape no rule can tell."""
    fused = FusedModel(_AllPooled()).eval()
    content = onnx_bytes(export_program(fused, _INPUTS), _INPUTS)
    check_graph(content, "fp32", {})
    kinds = {node.op_type for node in onnx.load_from_string(content).graph.node}
    assert "ReduceMean" in kinds
    assert not kinds & {"Range", "Gather", "GatherND"}
    (labels,) = ort.InferenceSession(content, providers=["CPUExecutionProvider"]).run(None, {"pixels": _rows().numpy()})
    assert labels.tolist() == fused(_rows())[0].tolist()
