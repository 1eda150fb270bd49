"""The commands of the runtime: engine-certify, engine-predict, engine-verify, engine-report.

Imports stay inside the functions so that ``--help`` answers at once.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from purecert.engine.commands.console import EngineCommand, talk
from purecert.engine.commands.number_lists import parse_radii
from purecert.engine.commands.options import (
    backend_options,
    combined,
    data_options,
    draw_options,
    plan_option,
    run_options,
)
from purecert.engine.commands.stop_options import stop_options, stop_spec
from purecert.engine.commands.verify_logs import log_options, require_run_or_logs, verify_logs

if TYPE_CHECKING:
    from purecert.engine.backends.registry import BackendOptions
    from purecert.engine.images.datasets import Dataset
    from purecert.engine.procedures.spec import SmoothingSpec
    from purecert.engine.records.sources import Sources

_json_option = click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON object.")
_tsv_option = click.option("--tsv", is_flag=True, help="Also write cohen.tsv into the run directory.")


@click.command(cls=EngineCommand)
@combined(plan_option, data_options, run_options)
@combined(draw_options, stop_options)
@combined(backend_options, _tsv_option, _json_option)
def certify_command(sigma: float, alpha: float, n0: int, n: int, **options: Any) -> None:
    """Certify images: an answer and a radius each, right with probability 1 - alpha (Cohen et al. 2019)."""
    from purecert.engine.procedures.spec import SmoothingSpec

    stop, against_label = stop_spec(options, alpha), options.pop("against_label")
    spec = SmoothingSpec(
        mode="certify", sigma=sigma, n_select=n0, n_estimate=n, alpha=alpha, stop=stop, against_label=against_label
    )
    _run(spec, **options)


@click.command(cls=EngineCommand)
@combined(plan_option, data_options, run_options)
@click.option("--n", default=1000, show_default=True, help="Draws that vote; with --early, at the most.")
@click.option("--n0", default=100, show_default=True, help="With --early: draws that pick the candidate.")
@click.option("--early", is_flag=True, help="Stop when the candidate is shown to be likelier than every other class.")
@combined(backend_options, _tsv_option, _json_option)
def predict_command(sigma: float, alpha: float, n: int, n0: int, early: bool, **options: Any) -> None:
    """Predict images with the smoothed classifier, or abstain; no radius is claimed (Cohen et al. 2019)."""
    from purecert.engine.procedures.spec import SmoothingSpec, StopSpec

    stop = StopSpec(rule="answer", alpha_refute=alpha) if early else None
    _run(SmoothingSpec(mode="predict", sigma=sigma, n_select=n0, n_estimate=n, alpha=alpha, stop=stop), **options)


@click.command(cls=EngineCommand)
@click.argument("run_directory", metavar="[RUN]", required=False, type=click.Path(path_type=Path))
@click.option("--plan", type=click.Path(path_type=Path), help="Plan directory, where it has moved since the run.")
@click.option("--data", help="Images, where they have moved since the run.")
@click.option("--data-dir", type=click.Path(path_type=Path), help="Where a named data set's files lie.")
@click.option("--share", default=0.05, show_default=True, help="Share of the images to replay, chosen at random.")
@click.option("--threads", default=0, help="Processors to use; 0 for as many as the run did.  [default: 0]")
@click.option("--trust-plan", is_flag=True, help="Load cached programs made elsewhere: they can run any code.")
@click.option("--strict", is_flag=True, help="Fail on differing labels on another machine or version too.")
@combined(log_options, _json_option)
@click.pass_context
def verify_command(
    context: click.Context, /, run_directory: Path | None, radii: str, as_json: bool, **options: Any
) -> None:
    """Check a run: recompute every bound from its counts, and replay noise and graph for some of its images.

    With --log FILE (several times, if you like): read logs of other programs in Cohen's format, recover draws, alpha,
    sigma and print format from their radii, and name the rows that no count explains.
    """
    require_run_or_logs(context)
    if run_directory is None:
        verify_logs(parse_radii(radii), as_json=as_json, **options)
    else:
        _verify_run(run_directory, as_json=as_json, **options)


@click.command(cls=EngineCommand)
@click.argument("run_directories", metavar="RUN...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--radii", default="0,0.25,0.5,0.75,1", show_default=True, help="Radii of the table, comma-separated.")
@click.option(
    "--out", "output", type=click.Path(path_type=Path), help="Also draw the curves (PNG, SVG) into this folder."
)
@click.option("--force", is_flag=True, help="Replace the drawings in --out.")
@click.option(
    "--rho", default=1e-3, show_default=True, help='Probability that more is false than the lines "at least" take off.'
)
@click.option("--bonferroni", is_flag=True, help="Also share alpha among all certificates of all runs given.")
@click.option("--best-sigma", "shows_best", is_flag=True, help="Also show the best run per radius, marked as selected.")
@_json_option
def report_command(
    run_directories: tuple[Path, ...], radii: str, output: Path | None, force: bool, as_json: bool, **options: Any
) -> None:
    """Print certified accuracy at a few radii, a line a run; draw it against the radius with --out."""
    from purecert.engine.records.ledger import read_run
    from purecert.engine.reports.printing import print_report

    runs = [read_run(directory) for directory in run_directories]
    print_report(runs, parse_radii(radii), as_json=as_json, **options)
    if output is not None:
        from purecert.engine.reports.curve import plot

        for path in plot(runs, output, force=force):
            talk(f"drew {path}")


def _run(spec: SmoothingSpec, as_json: bool, tsv: bool, **options: Any) -> None:
    from purecert.engine.plans.plan import read_plan
    from purecert.engine.records.ledger import RUN_FILE
    from purecert.engine.records.sources import Sources
    from purecert.engine.reports.printing import print_report
    from purecert.engine.reports.summary import DEFAULT_RADII
    from purecert.engine.running.progress import TerminalProgress
    from purecert.engine.running.run import RunRequest, execute

    sources = Sources(plan=options["plan"], data=options["data"], data_dir=options["data_dir"])
    plan, dataset = read_plan(sources.plan), _load(sources)
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
    run = execute(request, TerminalProgress(len(dataset), spec.max_rows, certifies=spec.mode == "certify"))
    _talk_usage(request.output)
    if tsv:
        from purecert.engine.logs.cohen_tsv import write_cohen_tsv

        write_cohen_tsv(run)
    print_report([run], DEFAULT_RADII, as_json=as_json)


def _verify_run(run_directory: Path, *, as_json: bool, **options: Any) -> None:
    from purecert.engine.plans.plan import read_plan
    from purecert.engine.records.ledger import read_run
    from purecert.engine.verification.printing import print_verification
    from purecert.engine.verification.verify import verify_run

    run = read_run(run_directory)
    sources = _sources(run_directory, options)
    verification = verify_run(
        run,
        read_plan(sources.plan),
        _load(sources),
        share=options["share"],
        threads=options["threads"] or run.record.backend.threads,
        trust=options["trust_plan"],
        strict=options["strict"],
    )
    print_verification(verification, as_json=as_json)


def _talk_usage(run_directory: Path) -> None:
    from purecert.engine.records.ledger import read_usage
    from purecert.engine.running.scheduler import Usage

    sessions = [Usage(**session) for session in read_usage(run_directory)]
    talk(f"usage: {sum(sessions[1:], sessions[0])}")


def _backend(options: dict[str, Any]) -> BackendOptions:
    from purecert.engine.backends.registry import BackendOptions
    from purecert.engine.hardware import available_threads

    return BackendOptions(
        name=options["backend"],
        batch=options["batch"],
        threads=options["threads"] or available_threads(),
        probe_rows=options["probe_rows"],
        trust=options["trust_plan"],
    )


def _load(sources: Sources) -> Dataset:
    from purecert.engine.images.datasets import load_dataset

    return load_dataset(sources.data, sources.data_dir)


def _sources(run_directory: Path, options: dict[str, Any]) -> Sources:
    """Return where the run's plan and data are: as given now, else as they were when it ran."""
    from purecert.engine.records.sources import Sources, read_sources

    stored = read_sources(run_directory)
    given = Sources(plan=options["plan"], data=options["data"], data_dir=options["data_dir"])
    return Sources(
        plan=given.plan or stored.plan, data=given.data or stored.data, data_dir=given.data_dir or stored.data_dir
    )
