"""How fast PyTorch multiplies large matrices here: the ceiling that networks are measured against."""

from dataclasses import asdict

import click
import torch
from gpu.record import print_table, write_record
from gpu.setting import open_queue, read_setting
from gpu.timing import measure

from purecert.engine.backends.torch.queue import TorchQueue
from purecert.engine.commands.console import EngineCommand
from purecert.engine.errors import CheckError

_SAMPLES = 30
_CHECKED_ROWS = 8
# Element type, PyTorch's name of the precision of FP32 products, and the largest relative error of a result:
# that of one rounding of the factors, since sums are kept in FP32.
_KINDS = {
    "bf16": (torch.bfloat16, "highest", 1e-2),
    "fp16": (torch.float16, "highest", 2e-3),
    "fp32, TF32 off": (torch.float32, "highest", 1e-5),
    "fp32, TF32 on": (torch.float32, "high", 2e-3),
}


@click.command(cls=EngineCommand)
def main() -> None:
    """Measure a square product of random matrices in every kind."""
    setting = read_setting()
    queue, size = open_queue(setting), setting.pick(8192, 256)
    rates = {kind: _rate(queue, kind, size) for kind in _KINDS}
    write_record(setting, "matrix-rate", {"size": size, "rates": rates})
    print_table(
        ("product", "TFLOP/s, median", "slowest tenth", "relative error"),
        [
            (kind, f"{r['tflops']:.1f}", f"{r['slowest_tenth_tflops']:.1f}", f"{r['relative_error']:.1e}")
            for kind, r in rates.items()
        ],
    )


def _rate(queue: TorchQueue, kind: str, size: int) -> dict[str, float]:
    dtype, precision, limit = _KINDS[kind]
    torch.set_float32_matmul_precision(precision)
    torch.manual_seed(0)
    with queue.entered():
        # Random values: with zeros a GPU draws less power and runs faster.
        left, right = (torch.randn(size, size, device=queue.device).to(dtype) for _ in range(2))
        product = torch.full((size, size), torch.nan, device=queue.device, dtype=dtype)
        took = measure(queue, lambda: torch.matmul(left, right, out=product), _SAMPLES)
        exact = left[:_CHECKED_ROWS].double() @ right.double()
        error = float((product[:_CHECKED_ROWS] - exact).norm() / exact.norm())
    if not error < limit:  # written so that NaN fails too
        raise CheckError(f"expected a relative error under {limit} of the {kind} product, got {error}")
    operations = 2 * size**3 / 1e12
    return {
        "tflops": operations / took.median,
        "slowest_tenth_tflops": operations / took.p90,
        "relative_error": error,
        **{f"seconds_{name}": value for name, value in asdict(took).items()},
    }


if __name__ == "__main__":
    main()
