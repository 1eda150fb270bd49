"""How fast PyTorch multiplies large matrices here: what a network could reach that did nothing else."""

from collections.abc import Sequence
from time import perf_counter

import torch
from torch import Tensor

_SIZES = (512, 1024, 2048, 4096, 8192, 16384)
_SECONDS = {"cpu": 0.3, "cuda": 0.1}  # of one window; a GPU does hundreds of products in that time
_WINDOWS = 5  # of each size, of which the fastest counts: a rate measured too low would flatter whatever is compared
_LONGEST = 0.05  # of one product: a larger size would only take longer
_DTYPES = {"fp32": torch.float32, "tf32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


def matrix_rates(kinds: Sequence[tuple[str, str]], threads: int) -> dict[tuple[str, str], float]:
    """Return the FLOP/s of the fastest size for each of ``kinds`` (device, precision); unknown precisions are left out.

    A device is "cpu" or "accelerator". The number of threads and TF32 hold for the whole process.
    """
    torch.set_num_threads(threads)
    return {(device, name): matrix_rate(device, name) for device, name in kinds if name in _DTYPES}


def matrix_rate(device: str, precision: str) -> float:
    """Return the FLOP/s, two for a multiply-add, of the fastest square product in ``precision``."""
    torch.backends.cuda.matmul.fp32_precision = "tf32" if precision == "tf32" else "ieee"
    place = torch.device("cpu" if device == "cpu" else "cuda")
    best = 0.0
    for size in _SIZES:
        # Random values, since zeros would draw less power and run faster.
        left, right = (torch.randn(size, size, device=place).to(_DTYPES[precision]) for _ in range(2))
        _run(left, right, 2)
        once = _run(left, right, 1)
        times = max(1, int(_SECONDS[place.type] / once))
        best = max(best, *(times * 2 * size**3 / _run(left, right, times) for _ in range(_WINDOWS)))
        if once > _LONGEST:
            break
    return best


def _run(left: Tensor, right: Tensor, times: int) -> float:
    """Return the seconds of ``times`` products."""
    began = perf_counter()
    for _ in range(times):
        product = left @ right
    product[0, 0].item()  # waits
    return perf_counter() - began
