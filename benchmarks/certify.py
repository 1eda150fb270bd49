"""Whole certificates: engine-certify beside the field's eager loop, its memory, and what it costs beside its network.

    python benchmarks/certify.py pairs --out benchmarks/results/certify/demo.json
    python benchmarks/certify.py memory --out benchmarks/results/certify/memory.json
    python benchmarks/certify.py outside --out benchmarks/results/certify/outside.json

Every run is a fresh process, and what is compared is run in turn. Without --engine the demo's plans are exported and
measured: torch-cuda in FP16 where there is a GPU, else ONNX Runtime and torch-compiled in FP32, and torch-compiled in
FP16 where the processor has half-precision arithmetic.
"""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
from certifying.comparison import Comparison
from certifying.engine_side import HOST, Engine
from certifying.memory import measure_memory
from certifying.outside import MOST_OUTSIDE, measure_outside
from certifying.plans import demo_engines, demo_plan
from certifying.record import write_record
from certifying.rounds import compare_sides
from certifying.tables import comparison_table, memory_table, outside_table
from certifying.work import Work

from purecert.engine.commands.console import EngineCommand, talk
from purecert.engine.commands.options import combined
from purecert.engine.errors import CheckError, InputError
from purecert.engine.hardware import available_threads
from purecert.engine.procedures.choosing import check_rule
from purecert.engine.procedures.spec import SmoothingSpec


class _Group(EngineCommand, click.Group):
    """Commands that fail as the engine's do: in one line, with its exit codes."""


_common_options = combined(
    click.option("--data-dir", type=click.Path(path_type=Path), help="Where a named data set's files lie."),
    click.option("--sigma", default=0.5, show_default=True, help="Noise std, in [0, 1] pixel units."),
    click.option("--batch", default=256, show_default=True, help="Rows of one call, on every side."),
    click.option("--threads", default=0, help="Processors to use; 0 for all.  [default: 0]"),
    click.option("--probe-rows", default=1000, show_default=True, help="Rows of the engine's check of its rows."),
    click.option("--work", "folder", type=click.Path(path_type=Path), default="build/certify", show_default=True),
    click.option("--out", "output", type=click.Path(path_type=Path), help="Also write JSON into this file."),
)
_rounds_option = click.option("--rounds", default=4, show_default=True, help="How often each is run, in turn.")
_n_option = click.option("--n", default=10_000, show_default=True, help="Draws that bound the class's probability.")


@click.group(cls=_Group)
def main() -> None:
    """Measure whole certificates."""


@main.command()
@click.option("--engine", "engines", multiple=True, metavar="BACKEND=PLAN", help="What to measure; repeat for more.")
@click.option("--model", help="Model file that the plans were exported from, or 'demo'.  [default: demo where it fits]")
@click.option("--data", default="digits:test[:20]", show_default=True, help="Images, all of which are certified.")
@click.option("--agreement-draws", default=2000, show_default=True, help="Equal noisy rows whose labels are compared.")
@combined(_n_option, _rounds_option, _common_options)
def pairs(
    engines: tuple[str, ...],
    model: str | None,
    agreement_draws: int,
    rounds: int,
    folder: Path,
    output: Path | None,
    **options: Any,
) -> None:
    """Compare engine-certify with the field's eager loop: a ratio for each round."""
    work, place = _work(**options), _made(folder)
    asked = Comparison(
        model=model,
        engines=tuple(map(_engine, engines)) or demo_engines(work.spec.sigma, place),
        work=work,
        rounds=rounds,
        agreement_draws=agreement_draws,
        folder=place,
    )
    compared = compare_sides(asked, talk)
    click.echo(comparison_table(compared))
    _write(output, work, asdict(compared), compared.accelerator)
    if others := [side.side for side in compared.sides if side.outputs is not None and not side.outputs.agree]:
        raise CheckError(f"expected the outputs of eager FP32, {', '.join(others)} has others, as the table says")


@main.command()
@click.option("--engine", metavar="BACKEND=PLAN", help="What to measure.  [default: ONNX Runtime on the demo in FP32]")
@click.option("--data", default="digits:test[:2]", show_default=True, help="Images, all of which are certified.")
@click.option("--n", "sizes", multiple=True, type=int, default=(1_000, 100_000), show_default=True)
@click.option("--runs", default=3, show_default=True, help="Runs at each n, in turn.")
@_common_options
def memory(
    engine: str | None, sizes: tuple[int, ...], runs: int, folder: Path, output: Path | None, **options: Any
) -> None:
    """Compare the peak memory of engine-certify at several n."""
    work, place = _work(n=max(sizes), **options), _made(folder)
    growth = measure_memory(_engine_or_demo(engine, work, place), work, sizes, runs, place)
    click.echo(memory_table(growth))
    numbers = {"growth_bytes": growth.growth, "noise_bytes": growth.noise, "grows": growth.grows}
    _write(output, work, asdict(growth) | numbers)
    if growth.grows:
        raise CheckError(f"expected memory that does not grow with n, found {growth.growth} bytes more")


@main.command()
@click.option("--plan", type=click.Path(path_type=Path), help="Plan to measure.  [default: the demo in FP32]")
@click.option("--data", default="digits:test[:100]", show_default=True, help="Images, all of which are certified.")
@combined(_n_option, _rounds_option, _common_options)
def outside(plan: Path | None, rounds: int, folder: Path, output: Path | None, **options: Any) -> None:
    """Compare a run with one whose network is a constant, in ONNX Runtime; the rest is to cost at most a tenth."""
    work, place = _work(**options), _made(folder)
    found = measure_outside(plan or demo_plan("fp32", work.spec.sigma, place), work, rounds, place)
    click.echo(outside_table(found))
    _write(output, work, asdict(found) | {"share": found.share, "whole_share": found.whole_share})
    largest = max(found.share, found.whole_share)
    if largest > MOST_OUTSIDE:
        raise CheckError(f"expected at most {MOST_OUTSIDE:.0%} of a run outside the network, found {largest:.1%}")


def _work(data: str, data_dir: Path | None, sigma: float, n: int, batch: int, threads: int, probe_rows: int) -> Work:
    spec = SmoothingSpec(mode="certify", sigma=sigma, n_estimate=n)
    check_rule(spec, 0.0)
    return Work(
        spec=spec,
        data=data,
        data_dir=data_dir,
        batch=batch,
        threads=threads or available_threads(),
        probe_rows=probe_rows,
    )


def _engine(text: str) -> Engine:
    backend, equals, plan = text.partition("=")
    if not (equals and plan):
        raise InputError(f"expected --engine BACKEND=PLAN, got {text!r}")
    return Engine(backend=backend, plan=Path(plan))


def _engine_or_demo(text: str | None, work: Work, folder: Path) -> Engine:
    if text is not None:
        return _engine(text)
    return Engine(backend=HOST, plan=demo_plan("fp32", work.spec.sigma, folder))


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _write(output: Path | None, work: Work, numbers: dict[str, Any], accelerator: str | None = None) -> None:
    if output is not None:
        write_record(output, work, numbers, accelerator)
        talk(f"wrote {output}")


if __name__ == "__main__":
    main()
