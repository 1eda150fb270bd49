"""The engine's side: engine-certify as a user calls it, in the process that tells what it took."""

import io
import json
from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import click
import numpy as np
from certifying.work import Certified, Work
from numpy.typing import NDArray

from purecert.engine.bench.process import peak_memory
from purecert.engine.errors import BackendError
from purecert.engine.records.lines import dense_counts
from purecert.engine.records.run import Run, read_run
from purecert.engine.records.run_directory import TIMINGS_FILE

HOST = "onnxruntime"  # the default backend


@dataclass(frozen=True, kw_only=True, slots=True)
class Engine:
    """A backend and the plan that it runs."""

    backend: str
    plan: Path


def certify_by_engine(engine: Engine, work: Work, seed: int, output: Path) -> Certified:
    """Return what ``engine-certify`` takes for ``work`` into ``output``, which it replaces: ledger, fsync and all.

    Raises:
        BackendError: The command failed; it has said why on stderr.
    """
    began = perf_counter()
    from purecert.engine.commands.certify import certify_command

    run_command(certify_command, [*_arguments(engine, work), "--seed", str(seed), "--out", str(output), "--force"])
    seconds, memory_peak = perf_counter() - began, peak_memory()
    run = read_run(output)
    selected, votes = (_counts(run, phase) for phase in (0, 1))
    return Certified(
        seconds=seconds,
        loop_seconds=loop_seconds(output),
        memory_peak=memory_peak,
        executed_precision=run.record.backend.executed_precision,
        selected=selected,
        votes=votes,
        outcomes=tuple(row.outcome for row in run.lines),
    )


def run_command(command: click.Command, arguments: Sequence[str]) -> None:
    """Run one of the engine's commands in this process; what it prints for programs is dropped.

    Raises:
        BackendError: It ended otherwise than well.
    """
    try:
        with redirect_stdout(io.StringIO()):
            command.main(list(arguments), prog_name=command.name)
    except SystemExit as end:
        if end.code:
            raise BackendError(f"{command.name} ended with exit code {end.code}; what it said is above") from None


def loop_seconds(run: Path) -> float:
    """Return the seconds from a run's first submission to its last line: opening the backend is not in it."""
    lines = (run / TIMINGS_FILE).read_text("ascii").splitlines()
    return sum(float(json.loads(line)["seconds"]) for line in lines)


def _arguments(engine: Engine, work: Work) -> list[str]:
    options = {
        "plan": engine.plan,
        "backend": engine.backend,
        "data": work.data,
        "sigma": work.spec.sigma,
        "alpha": work.spec.alpha,
        "n0": work.spec.n_select,
        "n": work.spec.n_estimate,
        "batch": work.batch,
        "threads": work.threads,
        "probe-rows": work.probe_rows,
    }
    if work.data_dir is not None:
        options["data-dir"] = work.data_dir
    return [part for name, value in options.items() for part in (f"--{name}", str(value))]


def _counts(run: Run, phase: int) -> NDArray[np.int64]:
    return np.stack([dense_counts(row.counts[phase], run.record.classes) for row in run.lines])
