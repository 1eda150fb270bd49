"""Arithmetic of PyTorch on a GPU in the precision of its tensors, by kernels that every process chooses alike."""

import torch

from purecert.engine.errors import BackendError


def forbid_rounding() -> None:
    """Turn off TF32, sums in half precision and trials of convolutions, in the whole process.

    Raises:
        BackendError: PyTorch keeps TF32 on.
    """
    # The older names of these switches: they reach matrix products and convolutions in every version since 1.7.
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_fp16_reduced_precision_reduction = False
    torch.backends.cudnn.benchmark = False  # a trial whose winner no file keeps
    if torch.backends.cuda.matmul.allow_tf32 or torch.backends.cudnn.allow_tf32:
        raise BackendError(f"PyTorch {torch.__version__} computes FP32 in TF32 though that was turned off")
