"""Plans whose products TensorRT-RTX turns into odd layers get their engines, and none of another precision.

What a layer's report tells of such products was found in reports of TensorRT-RTX 1.7.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from purecert.engine.backends.tensorrt.build import BuildOptions, BuiltEngine, build_engine
from purecert.engine.backends.tensorrt.library import listen, load_library
from purecert.engine.backends.tensorrt.network import Product, check_network, parse_network
from purecert.engine.backends.tensorrt.precision import check_precision
from purecert.engine.backends.tensorrt.report import LayerReport, parse_report
from purecert.engine.backends.tensorrt.target import any_gpu
from purecert.engine.errors import CheckError
from purecert.engine.plans.plan import Plan, Precision
from purecert.export.fusing.fuse import FusedModel
from support.rtx_build import build_for_sm89

pytestmark = [pytest.mark.slow, pytest.mark.nightly]

MakePlan = Callable[..., Plan]


@pytest.fixture(scope="module")
def rtx() -> None:
    """Skip the test where TensorRT-RTX is not installed."""
    pytest.importorskip("tensorrt_rtx_bindings", reason="TensorRT-RTX is not installed (pip install 'purecert[dev]')")


class _TimeOfRows(nn.Module):
    """A constant time, repeated over the batch, embedded by two layers: products of constants only."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 16, 3, padding=1)
        self.first, self.second = nn.Linear(64, 256), nn.Linear(256, 16)
        self.head = nn.Linear(16, 10)
        self.register_buffer("frequencies", torch.linspace(0, 5, 32))

    def forward(self, x: Tensor) -> Tensor:
        angles = torch.full((x.shape[0], 1), 0.3) * self.get_buffer("frequencies")
        time = self.second(functional.silu(self.first(torch.cat([angles.sin(), angles.cos()], 1).to(x.dtype))))
        logits: Tensor = self.head((self.stem(x) + time[:, :, None, None]).relu().mean((2, 3)))
        return logits


class _LowRank(nn.Module):
    """Weights that are a product of two constants."""

    def __init__(self) -> None:
        super().__init__()
        self.up, self.down = nn.Parameter(torch.randn(96, 8)), nn.Parameter(torch.randn(8, 64))
        self.head = nn.Linear(96, 10)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(functional.linear(x.flatten(1), self.up @ self.down).relu())
        return logits


class _ToOneChannel(nn.Module):
    """Weights of which a single extent is above 1."""

    def __init__(self, inner: int) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, inner, 3, padding=1)
        self.mix = nn.Conv2d(inner, 1, 1)
        self.head = nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self.mix(self.stem(x).relu()).flatten(1))
        return logits


class _OnlyOneChannel(nn.Module):
    """One number as the weights of a product, and a head that sees one number."""

    def __init__(self) -> None:
        super().__init__()
        self.mix, self.head = nn.Conv2d(1, 1, 1), nn.Linear(1, 10)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self.mix(x).relu().mean((2, 3)))
        return logits


class _ThreeInside(nn.Module):
    """An inner dimension of 3: the library adds up slices instead of multiplying."""

    def __init__(self) -> None:
        super().__init__()
        self.query, self.head = nn.Linear(3, 16), nn.Linear(16, 10)

    def forward(self, x: Tensor) -> Tensor:
        rows = self.query(x.expand(-1, 3, -1, -1).flatten(2).transpose(1, 2))
        weights = torch.einsum("bic,bjc->bij", rows, rows).softmax(-1)
        logits: Tensor = self.head(torch.einsum("bij,bjc->bic", weights, rows).mean(1))
        return logits


class _LargeTable(nn.Module):
    """A table of half numbers, added right before a small FP32 head and a small half product."""

    def __init__(self) -> None:
        super().__init__()
        self.mix, self.head = nn.Linear(8, 8), nn.Linear(8, 10)
        self.table = nn.Parameter(torch.randn(1, 64, 8))

    def forward(self, x: Tensor) -> Tensor:
        rows = x.flatten(1)[:, :, None] * self.table
        logits: Tensor = self.head((self.mix(rows) + self.table).mean(1))
        return logits


class _TinyProduct(nn.Module):
    """A product of two tiny computed matrices."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.head = nn.Linear(64, 8), nn.Linear(4, 10)

    def forward(self, x: Tensor) -> Tensor:
        pair = self.stem(x.flatten(1)).unflatten(1, (2, 2, 2))
        logits: Tensor = self.head((pair[:, 0] @ pair[:, 1]).flatten(1))
        return logits


_NETWORKS = {
    "time of rows": _TimeOfRows,
    "low rank": _LowRank,
    "16 to 1": lambda: _ToOneChannel(16),
    "3 to 1": lambda: _ToOneChannel(3),
    "1 to 1": _OnlyOneChannel,
    "3 inside": _ThreeInside,
    "large table": _LargeTable,
    "tiny product": _TinyProduct,
}


def _plan(name: str, make_plan: MakePlan, output: Path, precision: Precision) -> Plan:
    torch.manual_seed(5)
    return make_plan(FusedModel(_NETWORKS[name]()).eval().requires_grad_(False), output, precision)


def _build(plan: Plan, onnx: bytes, batch: int) -> BuiltEngine:
    return build_engine("tensorrt-rtx", onnx, plan.record, batch, any_gpu("sm_89"), BuildOptions())


@pytest.mark.parametrize("name", _NETWORKS)
def test_a_plan_of_either_precision_gets_its_engine(rtx: None, make_plan: MakePlan, tmp_path: Path, name: str) -> None:
    half = _plan(name, make_plan, tmp_path / "half", "fp16")
    full = _plan(name, make_plan, tmp_path / "full", "fp32")
    for batch in (8, 1):
        in_half = _build(half, half.read_graph(half.record.graphs[0].sigma), batch).report
        in_full = _build(full, full.read_graph(full.record.graphs[0].sigma), batch).report
        assert len(in_half.fp32_products) == 1, f"batch {batch}"  # the head
        assert in_full.half_products == 0, f"batch {batch}"
        assert in_half.half_products == len(in_full.fp32_products) - 1 > 0, f"batch {batch}"


@pytest.mark.parametrize("name", _NETWORKS)
def test_no_product_of_an_fp32_engine_passes_for_half(
    rtx: None, make_plan: MakePlan, tmp_path: Path, name: str
) -> None:
    plan = _plan(name, make_plan, tmp_path / "plan", "fp32")
    report, products = _report(plan.read_graph(plan.record.graphs[0].sigma), plan)
    assert len(check_precision(report, products, plan.record, 8).fp32_products) == len(products) > 1
    for product in products:
        with pytest.raises(CheckError, match=f"expected node {product.node} in half, but the engine computes it in"):
            check_precision(report, [replace(product, in_half=True)], plan.record, 8)


def _report(onnx: bytes, plan: Plan) -> tuple[LayerReport, tuple[Product, ...]]:
    """Return what TensorRT-RTX says of its engine of ``onnx`` in batches of 8, and the products of the graph."""
    library = load_library("tensorrt-rtx")
    logger, heard = listen(library)
    builder = library.Builder(logger)
    network = parse_network(library, builder, logger, heard, onnx)
    products = check_network(library, network, onnx, plan.record)
    build_for_sm89(library, builder, network, 8)
    (text,) = heard.reports
    return parse_report(text), products
