"""How fast the noise kernel writes, beside PyTorch's generator, its expression, and a copy of the same bytes."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import click
import numpy as np
import torch
from gpu.noisy_batch import BatchShape, Images, NoisyBatch
from gpu.record import print_table, write_record
from gpu.setting import SEED, SIGMA, Setting, open_queue, read_setting
from gpu.timing import Spread, measure
from torch import Tensor

from purecert.engine.backends.device.kernels import BatchNoise
from purecert.engine.backends.device.row_map import row_map
from purecert.engine.backends.packing import Piece
from purecert.engine.backends.torch.array import TorchArray
from purecert.engine.backends.torch.queue import TorchQueue
from purecert.engine.commands.console import EngineCommand
from purecert.engine.errors import CheckError
from purecert.engine.hardware import available_threads
from purecert.engine.noise.inputs import InputNoise
from purecert.engine.noise.table import smoothing_noise

_SLOTS = 16  # images whose rows share a batch
_SAMPLES = 50
_BYTES = 2**30  # written between two visits of one buffer: many times the cache of any GPU
_DRY_RUN_BYTES = 2**18
_COPY_BYTES = 2**32

_HALF, _FLOAT = torch.float16, torch.float32
_SHAPES = (
    BatchShape(rows=1024, row=(3, 32, 32), dtype=_HALF),
    BatchShape(rows=1024, row=(3, 32, 32), dtype=_HALF, channels_last=True),
    BatchShape(rows=1024, row=(3, 32, 32), dtype=_FLOAT),
    BatchShape(rows=1024, row=(3, 32, 32), dtype=_FLOAT, channels_last=True),
    BatchShape(rows=1024, row=(3, 64, 64), dtype=_HALF, channels_last=True),
    BatchShape(rows=256, row=(3, 224, 224), dtype=_HALF, channels_last=True),
    BatchShape(rows=256, row=(3, 224, 224), dtype=_FLOAT),
)
_DRY_RUN_SHAPES = tuple(
    BatchShape(rows=16, row=(3, 8, 8), dtype=dtype, channels_last=last)
    for dtype, last in ((_HALF, True), (_FLOAT, False))
)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Work:
    """What is measured on one shape."""

    buffers: list[Tensor]  # written in turn
    image: Tensor  # [channels, height, width] of [0, 1], for PyTorch's expression
    noises: list[BatchNoise]  # one for each buffer
    row_map: TorchArray


@click.command(cls=EngineCommand)
def main() -> None:
    """Measure every shape; floors count the bytes of the rows alone, at the copy's rate."""
    setting = read_setting()
    queue = open_queue(setting)
    copied = _copy_bandwidth(queue, setting.pick(_COPY_BYTES, _DRY_RUN_BYTES))
    rows = [_measure(queue, setting, shape, copied) for shape in setting.pick(_SHAPES, _DRY_RUN_SHAPES)]
    note = "times of one batch; buffers rotate beyond the cache, but the expression's temporaries may stay in it"
    write_record(setting, "noise-speed", {"copy_bytes_per_second": copied, "note": note, "shapes": rows})
    print(f"copy: {copied / 1e9:.0f} GB/s, read and written")
    print_table(
        ("rows", "us a batch", "G values/s", "GB/s", "of the floor", "randn us", "expression us"),
        [
            (
                row["shape"],
                f"{1e6 * row['kernel']['median']:.1f}",
                f"{row['values_per_second'] / 1e9:.1f}",
                f"{row['bytes_per_second'] / 1e9:.0f}",
                f"{row['share_of_floor']:.1%}",
                f"{1e6 * row['torch_randn']['median']:.1f}",
                f"{1e6 * row['torch_expression']['median']:.1f}",
            )
            for row in rows
        ],
    )


def _copy_bandwidth(queue: TorchQueue, size: int) -> float:
    """Return the bytes a second of a copy on the device, read and written."""
    with queue.entered():
        source = torch.randint(0, 256, (size,), dtype=torch.uint8, device=queue.device)
        target = torch.zeros_like(source)
        return 2 * size / measure(queue, lambda: target.copy_(source), _SAMPLES).median


def _measure(queue: TorchQueue, setting: Setting, shape: BatchShape, copied: float) -> dict[str, Any]:
    values = shape.rows * int(np.prod(shape.row))
    size = values * shape.dtype.itemsize
    noise = InputNoise(table=smoothing_noise(SIGMA), seed=SEED, purpose=0, threads=available_threads())
    _check(queue, shape, noise)
    with queue.entered(), torch.inference_mode():
        work = _prepare(queue, shape, noise, -(-setting.pick(_BYTES, _DRY_RUN_BYTES) // size))
        kernel = _of_one(queue, work, lambda number: work.noises[number].enqueue(work.row_map))
        _check_equal(work.buffers)
        randn = _of_one(queue, work, lambda number: work.buffers[number].normal_())  # what torch.randn runs
        expression = _of_one(queue, work, lambda number: _expression(work, number))
    return {
        "shape": str(shape),
        "kernel": _plain(kernel),
        "values_per_second": values / kernel.median,
        "bytes_per_second": size / kernel.median,
        "share_of_floor": size / copied / kernel.median,
        "torch_randn": _plain(randn),
        "torch_expression": _plain(expression),
    }


def _prepare(queue: TorchQueue, shape: BatchShape, noise: InputNoise, buffers: int) -> _Work:
    images = _images(shape)
    layout = torch.channels_last if shape.channels_last else torch.contiguous_format
    rows = [
        torch.empty((shape.rows, *shape.row), dtype=shape.dtype, device=queue.device, memory_format=layout).fill_(
            torch.nan
        )
        for _ in range(buffers)
    ]
    pixels = queue.upload(images.pixels)
    words = row_map([_pieces(shape)], shape.rows, images.indices).view(np.int32)
    return _Work(
        buffers=rows,
        image=pixels.tensor[0] / 255,
        noises=[BatchNoise(queue, noise, TorchArray(buffer), pixels) for buffer in rows],
        row_map=queue.upload(words),
    )


def _of_one(queue: TorchQueue, work: _Work, enqueue: Callable[[int], object]) -> Spread:
    """Return the time of one buffer's work; all buffers are captured together, so that launching takes no time."""

    def all_buffers() -> None:
        for number in range(len(work.buffers)):
            enqueue(number)

    took, buffers = measure(queue, queue.repeatable(all_buffers), _SAMPLES), len(work.buffers)
    return Spread(median=took.median / buffers, p10=took.p10 / buffers, p90=took.p90 / buffers, samples=took.samples)


def _expression(work: _Work, number: int) -> None:
    """Do what the field does: noise in FP32 on the repeated image, then a cast."""
    rows = work.buffers[number]
    noise = torch.randn_like(rows, dtype=torch.float32)
    (noise * SIGMA + work.image).to(rows.dtype)


def _check(queue: TorchQueue, shape: BatchShape, noise: InputNoise) -> None:
    """Refuse a kernel that writes other rows than the CPU's."""
    batch = NoisyBatch(queue, shape, noise, _images(shape))
    if not np.array_equal(batch.fill([_pieces(shape)])[0], batch.expected(_pieces(shape), noise)):
        raise CheckError(f"expected the CPU's rows in {shape}, got others; run benchmarks/gpu.sh noise-check")


def _check_equal(buffers: list[Tensor]) -> None:
    if not all(torch.equal(buffers[0], other) for other in buffers[1:]):
        raise CheckError("expected the same rows in every buffer, got others; run benchmarks/gpu.sh noise-check")


def _pieces(shape: BatchShape) -> list[Piece]:
    count = shape.rows // _SLOTS
    return [Piece(slot, slot, 1, 0, count, slot * count) for slot in range(_SLOTS)]


def _images(shape: BatchShape) -> Images:
    pixels = np.random.default_rng(SEED).integers(0, 256, (_SLOTS, *shape.row), np.uint8)
    return Images(pixels=pixels, indices=np.arange(_SLOTS))


def _plain(spread: Spread) -> dict[str, float]:
    return {"median": spread.median, "p10": spread.p10, "p90": spread.p90, "samples": spread.samples}


if __name__ == "__main__":
    main()
