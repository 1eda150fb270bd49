"""A compiled program of colour images, whose rows lie channels-last: as exported, and drawn as everywhere else."""

from contextlib import closing

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from purecert.engine.backends.base import BackendOptions, Segment
from purecert.engine.backends.opening import open_backend
from purecert.engine.backends.torch.compile import open_program
from purecert.engine.backends.torch.queue import HostQueue
from purecert.engine.images.datasets import Dataset
from purecert.engine.plans.plan import GraphInput, Plan
from purecert.export.fusing.fuse import FusedModel
from purecert.export.pipeline import ExportSpec, Origin, export_modules

pytestmark = [pytest.mark.slow, pytest.mark.nightly]

_SIGMA, _SHAPE, _BATCH = 0.25, (3, 4, 8), 16
_IMAGES = np.random.default_rng(0).integers(0, 256, (20, *_SHAPE), dtype=np.uint8)


class _Network(nn.Module):
    """What reads a channels-last tensor in its own way: convolution, group norm, attention over pixels, flattening."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.norm, self.qkv = nn.Conv2d(3, 8, 3, padding=1), nn.GroupNorm(2, 8), nn.Conv2d(8, 24, 1)
        self.head = nn.Linear(8 * 32, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.silu(self.norm(self.stem(x)))
        query, key, value = self.qkv(x).flatten(2).transpose(1, 2)[:, None].chunk(3, dim=-1)
        mixed = functional.scaled_dot_product_attention(query, key, value)[:, 0].transpose(1, 2)
        logits: Tensor = self.head((x + mixed.reshape(x.shape)).flatten(1))
        return logits


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        network = FusedModel(_Network()).eval().requires_grad_(False)
    data = Dataset(
        name="noise", indices=np.arange(20), images=_IMAGES, labels=None, classes=0, class_names=(), quantised=False
    )
    return export_modules(
        {_SIGMA: network},
        (GraphInput(name="pixels", shape=_SHAPE, dtype="float32"),),
        Origin(classes=5, purifier="identity", times={}),
        ExportSpec(sigmas=(_SIGMA,), precision="fp32", parity_draws=40),
        data,
        tmp_path_factory.mktemp("colour") / "plan",
    )


def test_a_compiled_program_computes_what_was_exported(plan: Plan) -> None:
    program = open_program(plan, _SIGMA, _BATCH, HostQueue(1), trust=False)
    (rows,) = program.inputs
    assert rows.is_contiguous(memory_format=torch.channels_last)
    assert not rows.is_contiguous()
    rows.copy_(torch.randint(-400, 600, rows.shape))
    label, logits = program.run()
    module = torch.export.load(str(plan.cached_program(_SIGMA))).module()
    with torch.inference_mode():
        expected_label, expected = module(rows.contiguous())
    assert torch.equal(label, expected_label)
    assert float((logits - expected).abs().max() / expected.abs().max()) < 1e-5


def test_a_row_without_finite_logits_has_no_label(plan: Plan) -> None:
    """Compilers like to assume that there is no such number."""
    program = open_program(plan, _SIGMA, _BATCH, HostQueue(1), trust=False)
    (rows,) = program.inputs
    rows.copy_(torch.randint(-400, 600, rows.shape))
    rows[3, 0, 0, 0], rows[5, 2, 3, 7], rows[6, 1] = float("nan"), float("inf"), 1e30
    label, logits = program.run()
    finite = torch.isfinite(logits).all(dim=1)
    assert [row for row in range(_BATCH) if not finite[row]][:2] == [3, 5]
    assert torch.equal(label, torch.where(finite, logits.argmax(dim=1), -1).to(torch.int32))


@pytest.mark.parametrize(
    "name", ["torch-compiled", pytest.param("torch-cuda", marks=[pytest.mark.gpu])], ids=lambda name: str(name)
)
def test_votes_are_those_of_the_program_uncompiled(plan: Plan, name: str) -> None:
    if name == "torch-cuda" and not torch.cuda.is_available():
        pytest.skip("no GPU here: the loop on one is not tested")
    counts = {}
    for backend_name in ("torch", name):
        options = BackendOptions(name=backend_name, batch=_BATCH, threads=1, probe_rows=_BATCH)
        with closing(open_backend(plan, _SIGMA, 9, options, _IMAGES, np.arange(20))) as backend:
            for slot in range(16):
                backend.place(slot, slot, _IMAGES[slot])
            futures = [backend.submit([Segment(slot, 1, 3, 40)]) for slot in range(16)]
            counts[backend_name] = np.concatenate([future.result() for future in futures])
    assert (counts["torch"] > 0).sum() > 16  # the network tells draws apart
    assert int(abs(counts["torch"] - counts[name]).sum()) // 2 <= 0.001 * 16 * 40
