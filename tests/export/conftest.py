"""Small networks for the tests of export, and plans of them that are made once."""

from collections.abc import Callable
from pathlib import Path
from typing import Literal

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from purecert.engine.images.datasets import Dataset, load_dataset
from purecert.engine.plans.plan import GraphInput, Plan, Precision
from purecert.export.fusing.fuse import FusedModel
from purecert.export.pipeline import ExportSpec, Origin, export_modules

CLASSES = 10
SHAPE = (1, 8, 8)
SIGMA = 0.1  # little noise: most draws of a digit get one label, as from a trained model

MakePlan = Callable[..., Plan]
Inputs = Callable[..., tuple[GraphInput, ...]]


class Attention(nn.Module):
    """Softmax attention over the pixels, as the U-Nets have it."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.qkv = nn.Conv2d(channels, 3 * channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        query, key, value = self.qkv(x).flatten(2).transpose(1, 2)[:, None].chunk(3, dim=-1)
        mixed = functional.scaled_dot_product_attention(query, key, value)
        return x + mixed[:, 0].transpose(1, 2).reshape(x.shape)


class Network(nn.Module):
    """Every kind of layer that export treats in its own way; with ``extra``, it is random itself."""

    def __init__(self, extra: int = 0) -> None:
        super().__init__()
        self.extra = extra
        self.stem = nn.Conv2d(1, 8, 3, padding=1)
        self.norm = nn.GroupNorm(2, 8)
        self.attention = Attention(8)
        self.body = nn.Conv2d(8, 8, 3, padding=1)
        self.batch_norm = nn.BatchNorm2d(8)
        self.head = nn.Linear(8 * 16, CLASSES)

    def forward(self, x: Tensor, *noises: Tensor) -> Tensor:
        for noise in noises:
            x = x + 0.05 * noise.mean(dim=1)
        x = self.attention(functional.silu(self.norm(self.stem(x))))
        x = functional.avg_pool2d(functional.relu(self.batch_norm(self.body(x))), 2)
        logits: Tensor = self.head(x.flatten(1))
        return logits


def _network(extra: int = 0) -> FusedModel:
    with torch.random.fork_rng():
        torch.manual_seed(7)
        network = Network(extra)
        for norm in (network.norm, network.batch_norm):  # as after training: neither ones nor zeros
            nn.init.uniform_(norm.weight, 0.5, 2)
            nn.init.uniform_(norm.bias, -0.5, 0.5)
        return FusedModel(network).eval().requires_grad_(False)


@pytest.fixture(scope="session")
def network() -> FusedModel:
    """Return a fused network of ``pixels`` alone."""
    return _network()


@pytest.fixture(scope="session")
def random_network() -> FusedModel:
    """Return a fused network of ``pixels`` and ``noise_1``, two images of noise a row."""
    return _network(extra=2)


@pytest.fixture(scope="session")
def inputs_of() -> Inputs:
    """Return a maker of graph inputs: ``inputs_of(precision, *k, shape=...)``, with one extra input for each k."""

    def make(precision: Precision, *extra: int, shape: tuple[int, int, int] = SHAPE) -> tuple[GraphInput, ...]:
        dtype: Literal["float32", "float16"] = "float32" if precision == "fp32" else "float16"
        noises = [GraphInput(name=f"noise_{i}", shape=(k, *shape), dtype=dtype) for i, k in enumerate(extra, start=1)]
        return (GraphInput(name="pixels", shape=shape, dtype=dtype), *noises)

    return make


@pytest.fixture(scope="session")
def digits() -> Dataset:
    """Return 24 real images."""
    return load_dataset("digits:test[:24]")


@pytest.fixture(scope="session")
def make_plan(digits: Dataset, inputs_of: Inputs) -> MakePlan:
    """Return a maker of plans: ``make_plan(module, output, precision, *k, data=..., draws=..., classes=...)``."""

    def make(
        module: FusedModel,
        output: Path,
        precision: Precision,
        *extra: int,
        data: Dataset = digits,
        draws: int = 480,
        classes: int = CLASSES,
        force: bool = False,
    ) -> Plan:
        shape = data.images.shape[1:]
        spec = ExportSpec(sigmas=(SIGMA,), precision=precision, parity_draws=draws, force=force)
        origin = Origin(classes=classes, purifier="identity", times={})
        return export_modules({SIGMA: module}, inputs_of(precision, *extra, shape=shape), origin, spec, data, output)

    return make


@pytest.fixture(scope="session")
def fp32_plan(network: FusedModel, make_plan: MakePlan, tmp_path_factory: pytest.TempPathFactory) -> Plan:
    """Return the FP32 plan of ``network``; tests copy it before they change it."""
    return make_plan(network, tmp_path_factory.mktemp("fp32") / "plan", "fp32")


@pytest.fixture(scope="session")
def fp16_plan(network: FusedModel, make_plan: MakePlan, tmp_path_factory: pytest.TempPathFactory) -> Plan:
    """Return the FP16 plan of ``network``; tests copy it before they change it."""
    return make_plan(network, tmp_path_factory.mktemp("fp16") / "plan", "fp16")
