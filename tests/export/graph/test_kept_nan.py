"""A NaN inside a network with maxima is one in the logits of an exported graph, on every runtime of the host."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from purecert.engine.backends.onnxruntime.cpu import OrtGraph
from purecert.engine.plans.plan import Plan
from purecert.export.fusing.fuse import FusedModel


class _WithMaxima(nn.Module):
    """What overflows where a pixel is far beyond any that noise makes, a convolution, a maximum, and a last layer."""

    def __init__(self, maximum: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.convolution, self.maximum = nn.Conv2d(1, 4, 3, padding=1), maximum
        self.head = nn.LazyLinear(3)

    def forward(self, image: Tensor) -> Tensor:
        large = torch.relu(image - 10) * 1e38 * 2
        inside = self.convolution(image) + (large - large)  # NaN where it overflows, and else 0
        logits: Tensor = self.head(self.maximum(inside).flatten(1))
        return logits


@pytest.mark.parametrize(
    "maximum",
    [
        pytest.param(lambda x: torch.max_pool2d(x, 2), id="pooled"),
        pytest.param(lambda x: torch.max_pool2d(x, 3, 2, 1), id="pooled with padding"),
        pytest.param(lambda x: nn.functional.adaptive_max_pool2d(x, 1), id="over the image"),
        pytest.param(lambda x: x.amax(dim=(2, 3)), id="reduced"),
        pytest.param(lambda x: x.amin(dim=1, keepdim=True), id="least over channels"),
    ],
)
def test_a_row_with_nan_before_a_maximum_gets_no_vote(
    maximum: Callable[[Tensor], Tensor], make_plan: Callable[..., Plan], tmp_path: Path
) -> None:
    torch.manual_seed(3)
    network = _WithMaxima(maximum).eval()
    network(torch.zeros(1, 1, 8, 8))
    module = FusedModel(network).eval().requires_grad_(False)
    plan = make_plan(module, tmp_path / "plan", "fp32", classes=3)
    graph = OrtGraph(plan, plan.record.graphs[0].sigma, 4, 1)
    graph.inputs[0][:] = 0
    graph.inputs[0][1, 0, 2, 2] = 2000  # one pixel of one row overflows
    assert (graph.labels() < 0).tolist() == [False, True, False, False]
    graph.close()
