"""engine-verify: is a run, or a log of another program, what it says it is.

Imports stay inside the functions so that ``--help`` answers at once.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from purecert.engine.commands.console import EngineCommand
from purecert.engine.commands.options import combined, json_option, parse_radii
from purecert.engine.commands.verify_logs import log_options, require_run_or_logs, verify_logs


@click.command(cls=EngineCommand)
@click.argument("run_directory", metavar="[RUN]", required=False, type=click.Path(path_type=Path))
@click.option("--plan", type=click.Path(path_type=Path), help="Plan directory, where it has moved since the run.")
@click.option("--data", help="Images, where they have moved since the run.")
@click.option("--data-dir", type=click.Path(path_type=Path), help="Where a named data set's files lie.")
@click.option("--share", default=0.05, show_default=True, help="Share of the images to replay, chosen at random.")
@click.option("--threads", default=0, help="Processors to use; 0 for as many as the run did.  [default: 0]")
@click.option("--trust-plan", is_flag=True, help="Load cached programs made elsewhere: they can run any code.")
@click.option("--strict", is_flag=True, help="Fail where the engine here is not the run's own.")
@click.option("--fresh-seed", is_flag=True, help="Certify the share again under a seed of its own, and compare.")
@combined(log_options, json_option)
@click.pass_context
def verify_command(
    context: click.Context, /, run_directory: Path | None, radii: str, as_json: bool, **options: Any
) -> None:
    """Check a run: recompute every bound from its counts, and replay noise and graph for some of its images.

    Exit codes: 0 verified; 4 failed; 6 arithmetic holds, but votes were not reproduced on the run's own engine.

    With --log FILE (several times, if you like): read logs of other programs in Cohen's format, recover draws, alpha,
    sigma and print format from their radii, and name the rows that no count explains.
    """
    require_run_or_logs(context)
    if run_directory is None:
        verify_logs(parse_radii(radii), as_json=as_json, **options)
    else:
        _verify_run(run_directory, as_json=as_json, **options)


def _verify_run(run_directory: Path, *, as_json: bool, **options: Any) -> None:
    from purecert.engine.commands.verify_log_of_run import cohen_problems
    from purecert.engine.images.class_folders import labelled_as
    from purecert.engine.images.datasets import load_dataset
    from purecert.engine.plans.plan import read_plan
    from purecert.engine.records.run import read_form
    from purecert.engine.records.sources import read_sources
    from purecert.engine.verification.printing import print_verification
    from purecert.engine.verification.verify import verify_run

    run = read_form(run_directory)  # every problem is named, not the first alone
    sources = read_sources(run_directory).moved(options["plan"], options["data"], options["data_dir"])
    plan, dataset = read_plan(sources.plan), load_dataset(sources.data, sources.data_dir)
    data = run.record.data
    dataset = labelled_as(
        *(dataset, plan.record.classes, plan.record.class_names),
        name=data.name,
        fingerprint=data.fingerprint,
        data_classes=data.classes,
    )
    verification = verify_run(
        run,
        plan,
        dataset,
        share=options["share"],
        threads=options["threads"] or run.record.backend.threads,
        trust=options["trust_plan"],
        strict=options["strict"],
        fresh_seed=options["fresh_seed"],
    )
    problems = (*verification.problems, *cohen_problems(run))
    print_verification(replace(verification, problems=problems), as_json=as_json)
