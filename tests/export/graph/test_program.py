"""One exported program, and the ONNX graph made from it."""

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from purecert.engine.errors import InputError
from purecert.engine.plans.plan import GraphInput, Plan, Precision
from purecert.engine.plans.protocol_buffers import with_output
from purecert.export.fusing.fuse import FusedModel
from purecert.export.fusing.precision import to_half
from purecert.export.graph.program import export_program, onnx_bytes

pytestmark = pytest.mark.slow  # exports programs and graphs

Inputs = Callable[..., tuple[GraphInput, ...]]


def _session(content: bytes) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    return ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def _rows(inputs: tuple[GraphInput, ...], count: int) -> dict[str, NDArray[Any]]:
    generator = np.random.default_rng(count)
    return {entry.name: generator.integers(-300, 600, (count, *entry.shape)).astype(entry.dtype) for entry in inputs}


@pytest.mark.parametrize(
    ("precision", "random"),
    [
        ("fp32", False),
        ("fp16", True),
        pytest.param("fp16", False, marks=pytest.mark.nightly),
        pytest.param("fp32", True, marks=pytest.mark.nightly),
    ],
)
def test_program_onnx_and_eager_agree_at_every_batch_size(
    network: FusedModel, random_network: FusedModel, inputs_of: Inputs, precision: Precision, random: bool
) -> None:
    module = random_network if random else network
    inputs = inputs_of(precision, *([2] if random else []))
    computed = to_half(module)[0] if precision == "fp16" else module
    program = export_program(computed, inputs)
    session = _session(onnx_bytes(program, inputs))
    for batch in (1, 7, 64, 256):
        rows = _rows(inputs, batch)
        tensors = [torch.from_numpy(row) for row in rows.values()]
        eager = computed(*tensors)[0].numpy()
        assert np.array_equal(program.module()(*tensors)[0].numpy(), eager)
        (found,) = session.run(None, rows)
        assert found.dtype == np.int32
        # ONNX Runtime's CPU computes half graphs in FP32: a vote near a tie may differ there.
        assert np.mean(found == eager) >= (0.97 if precision == "fp16" else 1.0)


def test_label_is_the_only_output_and_logits_an_inner_value(network: FusedModel, fp32_plan: Plan) -> None:
    content = fp32_plan.read_graph(fp32_plan.record.graphs[0].sigma)
    model = onnx.load_from_string(content)
    assert [output.name for output in model.graph.output] == ["label"]
    assert any("logits" in node.input for node in model.graph.node)
    rows = _rows(fp32_plan.record.inputs, 9)
    (logits,) = _session(with_output(content, "logits")).run(["logits"], rows)
    assert np.allclose(logits, network(torch.from_numpy(rows["pixels"]))[1].numpy(), atol=1e-5, rtol=1e-5)


def test_the_same_module_gives_the_same_onnx_bytes(network: FusedModel, inputs_of: Inputs, fp32_plan: Plan) -> None:
    inputs = inputs_of("fp32")
    assert onnx_bytes(export_program(network, inputs), inputs) == fp32_plan.read_graph(fp32_plan.record.graphs[0].sigma)


def test_an_onnx_graph_says_nothing_about_the_machine_that_exported_it(fp16_plan: Plan) -> None:
    content = fp16_plan.read_graph(fp16_plan.record.graphs[0].sigma)
    assert b".py" not in content
    assert not onnx.load_from_string(content).metadata_props


class Picky(nn.Module):
    """Logits that are not finite where the first pixel says so: the label's path alone, through every runtime."""

    def forward(self, x: Tensor) -> Tensor:
        x = x.flatten(1)
        return torch.cat([x[:, :2] / (x[:, 2:3] + 1), x[:, :1] * 0 + x[:, 3:4]], dim=1)


def test_invalid_rows_and_ties_come_out_of_onnx_as_out_of_eager(inputs_of: Inputs) -> None:
    inputs = inputs_of("fp32", shape=(1, 1, 4))
    module = FusedModel(Picky()).eval()
    session = _session(onnx_bytes(export_program(module, inputs), inputs))
    # A third pixel of 0 divides by zero; 255 and 0 are 1 and -1 inside.
    rows = np.array([[9, 9, 255, 0], [255, 0, 0, 0], [0, 255, 0, 0], [0, 255, 255, 0], [0, 0, 255, 255]], np.float32)
    expected = [0, -1, -1, 1, 2]
    assert module(torch.from_numpy(rows.reshape(-1, 1, 1, 4)))[0].tolist() == expected
    assert session.run(None, {"pixels": rows.reshape(-1, 1, 1, 4)})[0].tolist() == expected


class Huge(nn.Module):
    """Four gigabytes of weights that take no memory."""

    weight: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("weight", torch.zeros(1).expand(2**30))

    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(1) + self.weight[:4]


def test_weights_that_fit_no_onnx_file_are_refused(inputs_of: Inputs) -> None:
    inputs = inputs_of("fp32", shape=(1, 2, 2))
    program = export_program(FusedModel(Huge()).eval(), inputs)
    with pytest.raises(InputError, match=r"weights below 1\.94 GiB.*found 4\.00 GiB; use --precision fp16"):
        onnx_bytes(program, inputs)
