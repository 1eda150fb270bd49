"""What one core reaches, by precision: large matrix products and 3x3 convolutions, in PyTorch on one thread.

    python benchmarks/core_rates.py RESULT.json

A network that did nothing else could be no faster. Rates are in GFLOP/s (two operations a multiply-add; for INT8 the
same count of integer operations), the fastest of several windows of .3 s, over the sizes below. About a minute.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from time import perf_counter
from typing import Any

import click
import torch
from provenance import provenance, write_result
from torch import Tensor
from torch.nn.functional import conv2d

_SIZES = (512, 1024, 2048)  # of square products
# Rows, channels and length of the images of convolutions from as many channels to as many.
_IMAGES = ((64, 64, 32), (64, 128, 16), (64, 256, 8), (8, 64, 56))
_WINDOW, _WINDOWS = 0.3, 5

Work = tuple[Callable[[], Any], float]  # what is timed, and its operations


@click.command()
@click.argument("output", type=click.Path(path_type=Path))
def main(output: Path) -> None:
    """Write every rate to OUTPUT."""
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    rates = {name: round(max(_rate(*work) for work in works) / 1e9, 1) for name, works in _kinds().items()}
    write_result(output, provenance(("torch",)), {"gflop_per_second_of_one_core": rates})
    for name, rate in rates.items():
        click.echo(f"{name:40} {rate:8.1f} GFLOP/s")


def _kinds() -> dict[str, Iterator[Work]]:
    nchw, nhwc = torch.contiguous_format, torch.channels_last
    return {
        "product, FP32": _products(torch.float32),
        "product, bf16": _products(torch.bfloat16),
        "product, INT8": _products_int8(),
        "3x3 convolution, FP32, NCHW": _convolutions(torch.float32, nchw),
        "3x3 convolution, FP32, channels-last": _convolutions(torch.float32, nhwc),
        "3x3 convolution, bf16, NCHW": _convolutions(torch.bfloat16, nchw),
        "3x3 convolution, bf16, channels-last": _convolutions(torch.bfloat16, nhwc),
        "3x3 convolution, INT8, channels-last": _convolutions_int8(),
    }


def _products(dtype: torch.dtype) -> Iterator[Work]:
    for size in _SIZES:
        left, right = (torch.randn(size, size).to(dtype) for _ in range(2))
        yield lambda left=left, right=right: left @ right, 2.0 * size**3


def _products_int8() -> Iterator[Work]:
    for size in _SIZES:
        left, right = (torch.randint(-128, 128, (size, size), dtype=torch.int8) for _ in range(2))
        yield lambda left=left, right=right: torch._int_mm(left, right), 2.0 * size**3


def _convolutions(dtype: torch.dtype, layout: torch.memory_format) -> Iterator[Work]:
    for rows, channels, length in _IMAGES:
        images = torch.randn(rows, channels, length, length).to(dtype).contiguous(memory_format=layout)
        weights = torch.randn(channels, channels, 3, 3).to(dtype).contiguous(memory_format=layout)
        yield (
            lambda images=images, weights=weights: conv2d(images, weights, padding=1),
            _operations(rows, channels, length),
        )


def _convolutions_int8() -> Iterator[Work]:
    from torch.ao.nn.quantized import Conv2d

    for rows, channels, length in _IMAGES:
        layer = Conv2d(channels, channels, 3, padding=1)
        weights = torch.randn(channels, channels, 3, 3)
        scales, zeros = torch.full((channels,), 0.02), torch.zeros(channels, dtype=torch.int64)
        layer.set_weight_bias(torch.quantize_per_channel(weights, scales, zeros, 0, torch.qint8), torch.zeros(channels))
        images = torch.quantize_per_tensor(torch.randn(rows, channels, length, length), 0.02, 128, torch.quint8)
        images = images.contiguous(memory_format=torch.channels_last)
        yield lambda layer=layer, images=images: layer(images), _operations(rows, channels, length)


def _operations(rows: int, channels: int, length: int) -> float:
    return 2.0 * rows * length**2 * 9 * channels**2


def _rate(run: Callable[[], Tensor], operations: float) -> float:
    run()
    best = 0.0
    for _ in range(_WINDOWS):
        began, count = perf_counter(), 0
        while count == 0 or perf_counter() - began < _WINDOW:
            run()
            count += 1
        best = max(best, count * operations / (perf_counter() - began))
    return best


if __name__ == "__main__":
    main()
