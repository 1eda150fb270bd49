"""How fast the host draws noise: every path and output type, beside PyTorch's expression, its generator and NumPy's.

    python benchmarks/noise.py --out benchmarks/results/noise/noise.json

Every round runs all of them once, so that a machine that changes its pace changes it for all; rates are medians over
the rounds, ratios medians of the rounds' ratios. Before the first round all paths must have written the same values.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import click
import numpy as np
import torch
from noise_instructions import LoopCount, count_loop
from numpy.typing import NDArray
from provenance import provenance, write_result

from purecert import _kernels
from purecert.engine.errors import CheckError
from purecert.engine.hardware import available_threads
from purecert.engine.noise.table import smoothing_noise

_SHAPE = (3, 32, 32)
_SIGMA = 0.5
_SEED = 20_260_101
_TYPES = (np.dtype(np.int16), np.dtype(np.float16), np.dtype(np.float32))
_EXPRESSION = "x + sigma * torch.randn_like(x)"
# What the kernel must be to the expression on one core: by path.
_TARGETS = {"avx512": 3.0, "avx2": 2.0}
_COPY_BYTES = 2**28
_GIGA = 1e9


@dataclass(frozen=True, kw_only=True, slots=True)
class Contender:
    """One way to make rows of noise."""

    name: str
    output: str
    threads: int
    run: Callable[[], object]
    item_bytes: int

    @property
    def key(self) -> tuple[str, str, int]:
        return self.name, self.output, self.threads


@click.command()
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Write the JSON here.")
@click.option("--rows", default=1024, show_default=True, help="Rows of 3 x 32 x 32 a run: about a batch of the field.")
@click.option("--rounds", default=40, show_default=True)
def main(out: Path | None, rows: int, rounds: int) -> None:
    """Measure, print a table, and end with exit code 1 where a target is missed."""
    contenders = _kernel_contenders(rows) + _other_contenders(rows)
    seconds = _measure(contenders, rounds)
    values = rows * int(np.prod(_SHAPE))
    copied = _copy_bandwidth()
    numbers = [_row(contender, seconds, values, copied) for contender in contenders]
    loops = {name: count_loop(name) for name in ("avx2", "avx512")}
    _print(numbers, copied, loops)
    if out is not None:
        record = {"rows": rows, "row": _SHAPE, "sigma": _SIGMA, "rounds": rounds, "copy_bytes_per_second": copied}
        loop_record = {name: None if loop is None else loop.as_record() for name, loop in loops.items()}
        head = provenance(("numpy", "torch"))
        write_result(out, head, record | {"inner_loop": loop_record, "measured": numbers})
    _check_targets(numbers)


def _threads() -> list[int]:
    return sorted({1, available_threads()})


def _kernel_contenders(rows: int) -> list[Contender]:
    """Return every path in every type, after a check that all of them write the same values."""
    table = _kernels.ThresholdTable(smoothing_noise(_SIGMA).thresholds)
    image = np.random.default_rng(0).integers(0, 256, (1, int(np.prod(_SHAPE))), dtype=np.uint8)
    segments = np.array([[0, 5, 1, 0, rows]], np.int64)

    def fill(out: NDArray[np.generic], threads: int, path: str) -> None:
        table.fill(out, segments, seed=_SEED, purpose=0, images=image, threads=threads, path=path)

    def contender(path: str, dtype: np.dtype[Any], threads: int) -> Contender:
        out = np.zeros((rows, image.size), dtype)
        run: Callable[[], object] = lambda: fill(out, threads, path)  # noqa: E731
        return Contender(name=path, output=str(dtype), threads=threads, run=run, item_bytes=dtype.itemsize)

    _check_equal(fill, rows, image.size)
    return [contender(path, dtype, threads) for path in _kernels.paths() for dtype in _TYPES for threads in _threads()]


def _check_equal(fill: Callable[[NDArray[np.generic], int, str], None], rows: int, elements: int) -> None:
    reference = np.empty((rows, elements), np.int16)
    fill(reference, 1, "portable")
    for path in _kernels.paths():
        for dtype in _TYPES:
            for threads in _threads():
                out = np.zeros((rows, elements), dtype)
                fill(out, threads, path)
                if out.tobytes() != reference.astype(dtype).tobytes():
                    raise CheckError(f"expected the portable path's values of {path} as {dtype}, got others")


def _other_contenders(rows: int) -> list[Contender]:
    x = torch.rand((rows, *_SHAPE))
    target = np.empty((rows, *_SHAPE), np.float32)
    generators = {"Philox": np.random.Philox(1), "SFC64": np.random.SFC64(1)}
    found = []
    for threads in _threads():
        found += [
            Contender(name=name, output=output, threads=threads, run=_with_threads(threads, run), item_bytes=size)
            for name, output, size, run in (
                (_EXPRESSION, "float32", 4, lambda: x + _SIGMA * torch.randn_like(x)),
                ("the same, .half()", "float16", 2, lambda: (x + _SIGMA * torch.randn_like(x)).half()),
                ("torch.randn", "float32", 4, lambda: torch.randn(x.shape)),
            )
        ]
    for name, bits in generators.items():
        draw = np.random.Generator(bits).standard_normal
        run = _numpy_run(draw, target)
        found.append(
            Contender(name=f"numpy standard_normal, {name}", output="float32", threads=1, run=run, item_bytes=4)
        )
    return found


def _with_threads(threads: int, run: Callable[[], object]) -> Callable[[], object]:
    def limited() -> object:
        torch.set_num_threads(threads)
        return run()

    return limited


def _numpy_run(draw: Callable[..., object], target: NDArray[np.float32]) -> Callable[[], object]:
    return lambda: draw(dtype=np.float32, out=target)


def _measure(contenders: list[Contender], rounds: int) -> dict[tuple[str, str, int], list[float]]:
    """Return the seconds of every round, after one that does not count."""
    seconds: dict[tuple[str, str, int], list[float]] = {contender.key: [] for contender in contenders}
    for number in range(rounds + 1):
        for contender in contenders:
            began = perf_counter()
            contender.run()
            if number:
                seconds[contender.key].append(perf_counter() - began)
    return seconds


def _copy_bandwidth() -> float:
    """Return the bytes a second, read and written, of the best of ten copies by one core."""
    source = np.random.default_rng(0).integers(0, 256, _COPY_BYTES, dtype=np.uint8)
    target = np.zeros_like(source)
    times = []
    for _ in range(10):
        began = perf_counter()
        np.copyto(target, source)
        times.append(perf_counter() - began)
    return 2 * _COPY_BYTES / min(times)


def _row(
    contender: Contender, seconds: dict[tuple[str, str, int], list[float]], values: int, copied: float
) -> dict[str, Any]:
    own = seconds[contender.key]
    baseline = seconds[_EXPRESSION, "float32", contender.threads]
    written = values * contender.item_bytes / median(own)
    return {
        "name": contender.name,
        "output": contender.output,
        "threads": contender.threads,
        "seconds": {"median": median(own), "least": min(own), "largest": max(own)},
        "values_per_second": values / median(own),
        "bytes_per_second": written,
        "share_of_copy_bandwidth": written / copied,
        "times_the_expression": median(theirs / ours for theirs, ours in zip(baseline, own, strict=True)),
    }


def _print(numbers: list[dict[str, Any]], copied: float, loops: dict[str, LoopCount | None]) -> None:
    print("| what | output | threads | M values/s | GB/s written | of the copy | x the expression |")
    print("| --- | --- | ---: | ---: | ---: | ---: | ---: |")
    for row in numbers:
        rates = f"{row['values_per_second'] / 1e6:,.0f} | {row['bytes_per_second'] / _GIGA:.2f}"
        ratios = f"{row['share_of_copy_bandwidth']:.1%} | {row['times_the_expression']:.2f}"
        print(f"| {row['name']} | {row['output']} | {row['threads']} | {rates} | {ratios} |")
    print(f"\ncopy, one core: {copied / _GIGA:.1f} GB/s, read and written")
    for name, loop in loops.items():
        print(f"{name}: no C++ compiler, so its loop is not counted" if loop is None else f"{name}: {loop.sentence()}")


def _check_targets(numbers: list[dict[str, Any]]) -> None:
    for row in numbers:
        target = _TARGETS.get(row["name"], 0.0)
        if row["threads"] == 1 and row["times_the_expression"] < target:
            message = f"{row['name']} as {row['output']}: {row['times_the_expression']:.2f} times the expression"
            raise click.ClickException(f"expected at least {target} times, got {message}")


if __name__ == "__main__":
    main()
