"""TF32 is off where FP32 is meant, in every way that PyTorch has to say so."""

import torch

from purecert.engine.backends.device.precision import forbid_rounding
from purecert.engine.bench.process import in_own_process


def _switches() -> list[object]:
    """Return what matrix products and convolutions would compute in; the switches are of the whole process."""
    forbid_rounding()
    return [
        torch.backends.cuda.matmul.allow_tf32,
        torch.backends.cudnn.allow_tf32,
        torch.backends.cuda.matmul.fp32_precision == "tf32",
        torch.backends.cudnn.conv.fp32_precision == "tf32",
        torch.backends.cudnn.benchmark,
    ]


def test_every_switch_is_off() -> None:
    assert in_own_process(_switches) == [False] * 5
