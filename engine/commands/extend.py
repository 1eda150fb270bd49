"""The part of ``engine-certify`` that plans for more draws, and continues the draws of a finished run.

Imports stay inside the functions so that ``--help`` answers at once.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from purecert.engine.commands.options import combined
from purecert.engine.procedures.spec import ExtensionSpec

if TYPE_CHECKING:
    from purecert.engine.running.run import RunRequest

# What may be said of a run that continues another one; the rest stands in that run.
_OWN = frozenset({"extend", "extend_to", "plan", "data", "data_dir", "output", "resume", "force"})
_OF_THIS_MACHINE = frozenset({"trust_plan", "repeat_check", "tsv", "as_json"})

extension_options = combined(
    click.option(
        "--extend-to",
        type=int,
        metavar="N",
        help="Of mode fixed: split alpha now, so that these n draws an image may later be continued to N.",
    ),
    click.option(
        "--alpha-first",
        type=float,
        help="With --extend-to: the part of alpha for the look at n; the rest is kept for N.  [default: half of alpha]",
    ),
    click.option(
        "--extend",
        metavar="RUN",
        type=click.Path(path_type=Path),
        is_eager=True,
        help="Continue the draws of the finished RUN, begun with --extend-to, into the new run --out. RUN stays as it "
        "is. Plan, data and all other options come from it.",
    ),
)


def extension_spec(
    *, mode: str, n: int, alpha: float, extend_to: int | None, alpha_first: float | None
) -> ExtensionSpec | None:
    """Return the split of alpha that the options ask for; None where they ask for none.

    Raises:
        click.UsageError: An option does not belong to the others.
        InputError: A number is out of its range.
    """
    if extend_to is None:
        if alpha_first is not None:
            raise click.UsageError("--alpha-first belongs to --extend-to; leave it out, or say how far to extend")
        return None
    if mode != "fixed":
        raise click.UsageError(
            f"--extend-to does not belong to --mode {mode}, whose draws stop when they are settled; leave it out, and "
            "ask for a larger --n"
        )
    return ExtensionSpec(n_first=n, n_last=extend_to, alpha_first=alpha / 2 if alpha_first is None else alpha_first)


def extension_request(context: click.Context, options: dict[str, Any]) -> RunRequest:
    """Return the run that continues the draws of the run ``--extend``.

    Raises:
        click.UsageError: An option is given that the run has.
        InputError: The run cannot be read or extended, or its plan or data are not found.
    """
    from purecert.engine.plans.plan import read_plan
    from purecert.engine.records.run import read_run
    from purecert.engine.records.sources import read_sources
    from purecert.engine.running.continuing import continuing_request
    from purecert.engine.running.extending import check_extended, extended_spec

    _refuse_given(context)
    run = read_run(options["extend"])
    check_extended(run, options["output"])
    last = extended_spec(run).n_estimate
    if options["extend_to"] not in (None, last):
        raise click.UsageError(
            f"--extend-to {options['extend_to']}: the run was planned to be extended to {last}; leave it out"
        )
    sources = read_sources(run.directory).moved(options["plan"], options["data"], options["data_dir"])
    return continuing_request(
        *(run, read_plan(sources.plan), sources),
        output=options["output"],
        resume=options["resume"],
        force=options["force"],
        trust=options["trust_plan"],
        repeat_check=options["repeat_check"],
    )


def _refuse_given(context: click.Context) -> None:
    for parameter in context.command.params:
        name = parameter.name or ""
        is_given = context.get_parameter_source(name) is ParameterSource.COMMANDLINE
        if is_given and name not in _OWN | _OF_THIS_MACHINE:
            raise click.UsageError(f"{parameter.opts[0]} does not belong to --extend: the run says it; leave it out")
