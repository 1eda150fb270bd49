"""Whether the device's kernels write the published noise, the CPU's rows and NumPy's votes, exactly."""

import csv
from collections.abc import Iterator
from itertools import groupby, product
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from gpu.noisy_batch import BatchShape, Images, NoisyBatch, expected_votes
from gpu.record import print_table, write_record
from gpu.setting import SIGMA, open_queue, read_setting

from purecert.engine.backends.base import Segment
from purecert.engine.backends.packing import Piece, packed_batches, static_batches
from purecert.engine.backends.torch.queue import TorchQueue
from purecert.engine.commands.console import EngineCommand
from purecert.engine.errors import CheckError
from purecert.engine.hardware import available_threads
from purecert.engine.noise.contract import HIGHEST_PIXEL, LOWEST_PIXEL
from purecert.engine.noise.inputs import InputNoise
from purecert.engine.noise.table import extra_noise, smoothing_noise

_VECTORS = Path("tests/vectors/noise_v1.csv")
_ADDRESS = ("sigma", "seed", "image", "phase", "draw")
_PUBLISHED = 1554

_DTYPES = (torch.float16, torch.float32)
# Whole 16-byte stores in both layouts, in one only, and in none; 1, 3 and other numbers of channels; an extra input.
_ROWS = ((1, 8, 8), (1, 5, 7), (3, 32, 32), (3, 8, 9), (3, 5, 7), (3, 33, 31), (4, 6, 6), (2, 3, 5, 7))
_SEEDS = (0, 1, 2**32 - 1, 2**64 - 1)
_SIGMAS = (0.12, 0.25, 0.5, 1.0)
_CLASSES = 10


@click.command(cls=EngineCommand)
@click.option("--small", is_flag=True, help="Only rows and votes of the small shapes, and no record: for a sanitizer.")
def main(small: bool) -> None:
    """Check vectors, rows and votes, and many draws; the first difference ends the step."""
    setting = read_setting()
    queue = open_queue(setting)
    cases = _check_rows(queue)
    if small:
        return
    vectors, draws = _check_vectors(queue), _check_draws(queue, setting.pick(10**9, 10**6))
    equal = {
        "published_vectors": _PUBLISHED,
        "shapes_of_vectors": vectors,
        "shapes_of_rows_and_votes": cases,
        "draws_as_on_the_cpu": draws,
    }
    write_record(setting, "noise-check", {"equal": equal})
    print_table(
        ("equal to", "on"),
        [
            (f"{_PUBLISHED:,} published values", f"{len(vectors)} shapes and layouts"),
            ("the CPU's rows and NumPy's votes", f"{len(cases)} shapes and layouts"),
            ("the CPU's draws", f"{draws:,} draws"),
        ],
    )


def _check_vectors(queue: TorchQueue) -> list[str]:
    """Compare every published value in every layout and element type; return the shapes."""
    with _VECTORS.open(newline="") as file:
        published = list(csv.DictReader(file))
    _require(len(published) == _PUBLISHED, f"{_PUBLISHED} vectors in {_VECTORS}, got {len(published)}")
    elements = 1 + max(int(row["element"]) for row in published)
    side = int(np.ceil(np.sqrt(elements / 3)))
    shapes = [
        *(
            BatchShape(rows=1, row=(3, side, side), dtype=d, channels_last=c)
            for d, c in product(_DTYPES, (False, True))
        ),
        *(BatchShape(rows=1, row=(1, 1, elements), dtype=dtype) for dtype in _DTYPES),
    ]
    for (sigma, *numbers), group in groupby(published, key=lambda row: [row[name] for name in _ADDRESS]):
        wanted = {int(row["element"]): int(row["q"]) for row in group}
        expected = np.clip(list(wanted.values()), LOWEST_PIXEL, HIGHEST_PIXEL)
        for shape in shapes:
            row = _published_row(queue, shape, float(sigma), *map(int, numbers))
            found = row.ravel()[list(wanted)]
            _require(np.array_equal(found, expected), f"the vectors of sigma {sigma}, {numbers} in {shape}, got others")
    return [str(shape) for shape in shapes]


def _published_row(
    queue: TorchQueue, shape: BatchShape, sigma: float, seed: int, image: int, phase: int, draw: int
) -> np.ndarray[Any, Any]:
    """Return one row of noise on a black image."""
    noise = InputNoise(table=smoothing_noise(sigma), seed=seed, purpose=0, threads=1)
    black = Images(pixels=np.zeros((1, *shape.row), np.uint8), indices=np.array([image], np.int64))
    piece = Piece(segment=0, slot=0, phase=phase, first=draw, count=1, row=0)
    return NoisyBatch(queue, shape, noise, black).fill([[piece]])[0]


def _check_rows(queue: TorchQueue) -> list[str]:
    """Compare rows and votes of random submissions in every shape; return the shapes."""
    random = np.random.default_rng(0)
    shapes = [
        BatchShape(rows=rows, row=row, dtype=dtype, channels_last=last)
        for rows, row, dtype, last in product((1, 13), _ROWS, _DTYPES, (False, True))
        if len(row) == 3 or not last
    ]
    for number, shape in enumerate(shapes):
        images = _images(random, slots=5, row=shape.row if shape.is_image else (3, 5, 7))
        noise = InputNoise(
            table=smoothing_noise(SIGMA) if shape.is_image else extra_noise(),
            seed=_SEEDS[number % len(_SEEDS)],
            purpose=0 if shape.is_image else 1,
            threads=1,
        )
        for batches in _submissions(random, shape.rows):
            _check_submission(NoisyBatch(queue, shape, noise, images), shape, noise, batches, random)
    return [str(shape) for shape in shapes]


def _check_submission(
    batch: NoisyBatch, shape: BatchShape, noise: InputNoise, batches: list[list[Piece]], random: np.random.Generator
) -> None:
    labels = random.integers(-2, _CLASSES + 2, (len(batches), shape.rows), np.int32)
    segments = 1 + max(piece.segment for pieces in batches for piece in pieces)
    rows, votes = batch.fill_and_count(batches, labels, segments=segments, classes=_CLASSES)
    for number, (pieces, found) in enumerate(zip(batches, rows, strict=True)):
        expected = batch.expected(pieces, noise)
        _require(np.array_equal(found, expected), f"the CPU's rows in batch {number} of {shape}, got others")
    expected_counts = expected_votes(batches, labels, segments=segments, classes=_CLASSES)
    _require(np.array_equal(votes, expected_counts), f"NumPy's votes of {shape}, got others")


def _submissions(random: np.random.Generator, rows: int) -> Iterator[list[list[Piece]]]:
    """Yield random segments laid end to end, and with every draw at its fixed place: with padding between."""
    for batches in (packed_batches, static_batches):
        segments = [
            Segment(slot=int(random.integers(5)), phase=int(random.integers(2)), first=int(first), count=int(count))
            for first, count in zip(random.integers(0, 2**32 - 40, 4), random.integers(1, 2 * rows + 2, 4), strict=True)
        ]
        yield list(batches(segments, rows))


def _check_draws(queue: TorchQueue, least: int) -> int:
    """Compare at least ``least`` draws of large batches with the CPU's kernel; return how many."""
    rows, row = 8192 if least > 10**6 else 64, (3, 32, 32)
    compared, chunk = 0, 0
    images = _images(np.random.default_rng(1), slots=8, row=row)
    batches = {
        (sigma, last): _large_batch(
            queue, BatchShape(rows=rows, row=row, dtype=dtype, channels_last=last), sigma, images
        )
        for number, (sigma, last) in enumerate(product(_SIGMAS, (False, True)))
        for dtype in [_DTYPES[number % 3 == 0]]
    }
    while compared < least:
        for batch, noise in batches.values():
            count = rows // 8
            pieces = [Piece(0, slot, chunk % 2, chunk * count, count, slot * count) for slot in range(8)]
            found, expected = batch.fill([pieces])[0], batch.expected(pieces, noise)
            _require(np.array_equal(found, expected), f"the CPU's draws at scale {noise.table.scale}, got others")
            compared += found.size
        chunk += 1
    return compared


def _large_batch(queue: TorchQueue, shape: BatchShape, sigma: float, images: Images) -> tuple[NoisyBatch, InputNoise]:
    seed = _SEEDS[_SIGMAS.index(sigma)]
    noise = InputNoise(table=smoothing_noise(sigma), seed=seed, purpose=0, threads=available_threads())
    return NoisyBatch(queue, shape, noise, images), noise


def _images(random: np.random.Generator, slots: int, row: tuple[int, ...]) -> Images:
    return Images(
        pixels=random.integers(0, 256, (slots, *row), np.uint8), indices=random.integers(0, 2**32, slots, np.int64)
    )


def _require(claim: object, expected: str) -> None:
    if not claim:
        raise CheckError(f"expected {expected}; the device's kernels are not to be used, report this as a fault")


if __name__ == "__main__":
    main()
