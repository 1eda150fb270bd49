"""What engine-certify and engine-predict share: from the options to a run directory and its report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from purecert.engine.commands.console import talk

if TYPE_CHECKING:
    from purecert.engine.backends.options import BackendOptions
    from purecert.engine.procedures.spec import SmoothingSpec


def run(spec: SmoothingSpec, as_json: bool, tsv: bool, **options: Any) -> None:
    """Answer for the images that ``options`` name as ``spec`` says, and print the report.

    Raises:
        PurecertError: As ``execute``.
    """
    from purecert.engine.images.datasets import load_dataset
    from purecert.engine.plans.plan import read_plan
    from purecert.engine.procedures.spec import DEFAULT_RADII
    from purecert.engine.records.run_directory import RUN_FILE
    from purecert.engine.records.sources import Sources
    from purecert.engine.reports.printing import print_report
    from purecert.engine.running.progress import TerminalProgress
    from purecert.engine.running.run import RunRequest, execute

    sources = Sources(plan=options["plan"], data=options["data"], data_dir=options["data_dir"])
    plan, dataset = read_plan(sources.plan), load_dataset(sources.data, sources.data_dir)
    if tsv and dataset.labels is None:
        raise click.UsageError(f"--tsv needs labels, {dataset.name} has none; leave it out")
    request = RunRequest(
        plan=plan,
        dataset=dataset,
        spec=spec,
        backend=_backend(options),
        output=options["output"],
        seed=options["seed"],
        resume=options["resume"],
        force=options["force"],
        invocation=sources.absolute(),
    )
    if request.resume and not (request.output / RUN_FILE).exists():
        talk(f"nothing to resume in {request.output}: starting a new run")
    done = execute(request, TerminalProgress(len(dataset), spec.max_rows, certifies=spec.mode == "certify"))
    _talk_usage(request.output)
    if tsv:
        from purecert.engine.logs.cohen_tsv import write_cohen_tsv

        write_cohen_tsv(done)
    print_report([done], DEFAULT_RADII, as_json=as_json)


def _talk_usage(run_directory: Path) -> None:
    from purecert.engine.records.run import read_usage
    from purecert.engine.running.scheduler import Usage

    sessions = [Usage(**session) for session in read_usage(run_directory)]
    talk(f"usage: {sum(sessions[1:], sessions[0])}")


def _backend(options: dict[str, Any]) -> BackendOptions:
    from purecert.engine.backends.options import BackendOptions
    from purecert.engine.hardware import available_threads

    return BackendOptions(
        name=options["backend"],
        batch=options["batch"],
        threads=options["threads"] or available_threads(),
        probe_rows=options["probe_rows"],
        trust=options["trust_plan"],
    )
