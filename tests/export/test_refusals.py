"""What networks and exporters raise reaches a user as one line."""

import logging
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from purecert.engine.errors import CheckError, InputError, OutOfMemoryError, PurecertError
from purecert.engine.plans.plan import GraphInput, Precision
from purecert.export.fusing.fuse import FusedModel
from purecert.export.graph.program import export_program, onnx_bytes
from purecert.export.refusals import refusing

Inputs = Callable[..., tuple[GraphInput, ...]]


class _Branching(nn.Module):
    """Looks at values."""

    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(1) if bool(x.sum() > 0) else -x.flatten(1)


class _Mixing(nn.Module):
    """Multiplies what it takes with FP32, which half cannot be; PyTorch sees that where it is a batch of matrices."""

    def __init__(self, *, seen: bool) -> None:
        super().__init__()
        self.seen = seen

    def forward(self, x: Tensor) -> Tensor:
        if self.seen:
            return torch.bmm(x[:, 0], torch.ones(len(x), 8, 1))[:, :, 0]
        return x.flatten(1) @ torch.ones(64, 10)


class _Counting(nn.Module):
    """Fixes the batch."""

    def forward(self, x: Tensor) -> Tensor:
        return x.reshape(3, 64)


class _Foreign(nn.Module):
    """Computes what ONNX has no words for."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.special.bessel_j0(x.flatten(1))


class _Hostile(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        raise KeyError("a page\nof\nwords " * 100)


@pytest.mark.parametrize(
    ("network", "precision", "words"),
    [
        (_Branching(), "fp32", r"got \w+: .*data-dependent.*; rewrite it with tensor operations alone"),
        (
            _Mixing(seen=True),
            "fp16",
            r"got RuntimeError: .*float16.*; use --precision fp32, or, where that fails, rewrite",
        ),
        (_Counting(), "fp32", r"for any batch size, got \w+: "),
        (_Hostile(), "fp32", r"got KeyError: .* \.\.\.; rewrite"),
    ],
)
def test_a_network_that_cannot_be_exported_is_refused_in_one_line_and_no_more_is_said(
    network: nn.Module,
    precision: Precision,
    words: str,
    inputs_of: Inputs,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(InputError, match=words) as caught:
        export_program(_fused(network, precision), inputs_of(precision))
    _assert_short(caught.value)
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert capsys.readouterr() == ("", "")


@pytest.mark.slow  # exports graphs
@pytest.mark.parametrize(
    ("network", "precision", "words"),
    [
        (_Foreign(), "fp32", r"can write as ONNX, got \w+: .*bessel_j0.*; rewrite it"),
        (_Mixing(seen=False), "fp16", r"can write as ONNX, got InferenceError: .*float.*; use --precision fp32"),
    ],
)
def test_a_program_without_words_in_onnx_is_refused_in_one_line(
    network: nn.Module, precision: Precision, words: str, inputs_of: Inputs
) -> None:
    program = export_program(_fused(network, precision), inputs_of(precision))
    with pytest.raises(InputError, match=words) as caught:
        onnx_bytes(program, inputs_of(precision))
    _assert_short(caught.value)


def _fused(network: nn.Module, precision: Precision) -> FusedModel:
    fused = FusedModel(network).eval()
    fused.dtype = torch.float16 if precision == "fp16" else torch.float32
    return fused


def _assert_short(error: PurecertError) -> None:
    assert error.exit_code == 2
    assert "\n" not in str(error)
    assert len(str(error)) < 600


@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        (CheckError("a check"), CheckError),
        (MemoryError(), MemoryError),
        (KeyboardInterrupt(), KeyboardInterrupt),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), OutOfMemoryError),
    ],
)
def test_what_is_said_already_stays_and_memory_has_its_own_code(
    raised: BaseException, expected: type[BaseException]
) -> None:
    with pytest.raises(expected), refusing("anything", "do nothing"):
        raise raised
