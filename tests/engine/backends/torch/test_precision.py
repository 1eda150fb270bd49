"""TF32 is off where FP32 is meant, in every way that PyTorch has to say so."""

import subprocess
import sys

_PROGRAM = """
import torch
from purecert.engine.backends.torch.precision import forbid_rounding
forbid_rounding()
assert not torch.backends.cuda.matmul.allow_tf32
assert not torch.backends.cudnn.allow_tf32
assert torch.backends.cuda.matmul.fp32_precision != "tf32"
assert torch.backends.cudnn.conv.fp32_precision != "tf32"
assert not torch.backends.cudnn.benchmark
"""


def test_every_switch_is_off() -> None:
    """In a process of its own, since the switches are of a whole process."""
    done = subprocess.run([sys.executable, "-c", _PROGRAM], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
