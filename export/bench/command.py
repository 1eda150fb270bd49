"""The command engine-bench.

Imports stay inside the functions so that ``--help`` answers at once.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from purecert.engine.commands.console import EngineCommand, talk
from purecert.engine.commands.options import plan_option
from purecert.engine.errors import BackendError, InputError

if TYPE_CHECKING:
    from purecert.engine.bench.record import Benchmark
    from purecert.engine.images.datasets import Dataset
    from purecert.engine.plans.plan import Plan
    from purecert.export.bench.spec import BenchSpec

_DEFAULT_DATA = "digits:test"
_DEFAULT_BATCHES = (256,)


@click.command(cls=EngineCommand)
@plan_option
@click.option("--model", help="Model file that the plan was exported from, or 'demo'.  [default: demo where it fits]")
@click.option("--data", metavar="NAME[:SPLIT][SLICE]", help=f"Images.  [default: {_DEFAULT_DATA} where they fit]")
@click.option("--data-dir", type=click.Path(path_type=Path), help="Where a named data set's files lie.")
@click.option("--sigma", type=float, help="Noise std, in [0, 1] pixel units.  [default: the plan's first]")
@click.option("--backend", "backends", multiple=True, help="What to measure; repeat for more.  [default: all]")
@click.option("--batch", "batches", multiple=True, type=int, help="Rows of one call; repeat for more.  [default: 256]")
@click.option("--threads", default=0, help="Processors to use; 0 for all.  [default: 0]")
@click.option(
    "--seconds", default=10.0, show_default=True, help="Least length of each measurement; under 10 s a row is INVALID."
)
@click.option(
    "--agreement-draws",
    default=2000,
    show_default=True,
    help="Draws whose labels are compared; under 2000 a row is INVALID.",
)
@click.option(
    "--probe-rows", default=1000, show_default=True, help="Rows of the check that rows do not affect each other."
)
@click.option("--trust-plan", is_flag=True, help="Load cached programs made elsewhere: they can run any code.")
@click.option(
    "-o", "--out", "--output", "output", type=click.Path(path_type=Path), help="Also write JSON, table and chart here."
)
@click.option("--force", is_flag=True, help="Replace the benchmark in --out.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON object.")
def bench_command(output: Path | None, force: bool, as_json: bool, **options: Any) -> None:
    """Time every backend of a plan beside the field's eager FP32 loop, each in a process of its own.

    A row is VALID if it was warmed up, measured for 10 s at a steady pace, and its labels agree with eager FP32's.
    """
    from purecert.engine.bench.output import check_bench_output, write_benchmark
    from purecert.engine.bench.table import table
    from purecert.export.bench.benchmark import run_benchmark

    if output is not None:
        check_bench_output(output, force=force)
    benchmark = run_benchmark(_spec(options), talk)
    click.echo(benchmark.to_json() if as_json else table(benchmark))
    if output is not None:
        write_benchmark(benchmark, output)
        talk(f"wrote {output}")
    _require_a_measured_backend(benchmark)


def _spec(options: dict[str, Any]) -> BenchSpec:
    from purecert.engine.backends.registry import BACKENDS, backend_kind
    from purecert.engine.hardware import available_threads
    from purecert.engine.plans.plan import read_plan
    from purecert.export.bench.spec import BenchSpec

    for name in options["backends"]:
        backend_kind(name)
    plan = read_plan(options["plan"])
    return BenchSpec(
        plan=plan,
        data=_data(plan, options["data"], options["data_dir"]),
        sigma=plan.record.graphs[0].sigma if options["sigma"] is None else options["sigma"],
        model=options["model"],
        backends=tuple(dict.fromkeys(options["backends"] or BACKENDS)),
        batches=tuple(dict.fromkeys(options["batches"] or _DEFAULT_BATCHES)),
        threads=options["threads"] or available_threads(),
        seconds=options["seconds"],
        probe_rows=options["probe_rows"],
        agreement_draws=options["agreement_draws"],
        trust=options["trust_plan"],
    )


def _data(plan: Plan, name: str | None, data_dir: Path | None) -> Dataset:
    from purecert.engine.images.datasets import load_dataset

    data = load_dataset(_DEFAULT_DATA if name is None else name, data_dir)
    shape = plan.record.inputs[0].shape
    if name is None and data.images.shape[1:] != shape:
        raise InputError(f"expected --data, since the plan's images are of shape {shape}; name some real images")
    return data


def _require_a_measured_backend(benchmark: Benchmark) -> None:
    """End as a failure where no backend could be measured: the table then holds no answer."""
    from purecert.engine.bench.record import MeasuredRow

    if not any(isinstance(row, MeasuredRow) and not row.row.is_baseline for row in benchmark.rows):
        raise BackendError("expected a backend that can run the plan here, found none; the table says why of each")
