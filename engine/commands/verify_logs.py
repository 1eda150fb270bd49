"""The part of ``engine-verify`` that reads other people's logs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from purecert.engine.commands.options import DEFAULT_RADII_TEXT, combined

_NAMES = {"logs", "n", "alpha", "sigma", "thin", "recertify", "every", "radii", "seed"}
_OF_BOTH = {"as_json"}

log_options = combined(
    click.option("--log", "logs", multiple=True, type=click.Path(path_type=Path), help="A log to check, not a run."),
    click.option("--n", type=int, help="Log: its draws. Recovered from the radii if not given, as the next two."),
    click.option("--alpha", type=float, help="Log: failure probability of one of its certificates."),
    click.option("--sigma", type=float, help="Log: noise std, in [0, 1] pixel units."),
    click.option("--thin", type=int, metavar="N", help="Log: certify from N of its draws, chosen at random."),
    click.option("--recertify", type=float, metavar="ALPHA", help="Log: certify its counts at another alpha."),
    click.option("--every", default=1, help="Log: count images 0, K, 2 K ... only.  [default: 1]", metavar="K"),
    click.option("--radii", default=DEFAULT_RADII_TEXT, help="Log: radii of the table, comma-separated."),
    click.option("--seed", default=0, help="Log: seed of the choice of draws.  [default: 0]"),
)


def require_run_or_logs(context: click.Context) -> None:
    """Raise where a command line asks for neither a run nor logs, or for both.

    Raises:
        click.UsageError: It does, or one of its options belongs to the other.
    """
    parameters = [each for each in context.command.params if each.name not in _OF_BOTH]
    given = {
        each.name: each
        for each in parameters
        if context.get_parameter_source(each.name or "") is ParameterSource.COMMANDLINE
    }
    about_logs = "logs" in given
    if not about_logs and "run_directory" not in given:
        raise click.UsageError("expected a RUN, or --log FILE, got neither")
    if about_logs and "run_directory" in given:
        raise click.UsageError("expected a RUN or --log FILE, got both; check them one after the other")
    for name, each in given.items():
        if (name in _NAMES) != about_logs:
            needs, other = ("a RUN", "--log") if about_logs else ("--log FILE", "a RUN")
            raise click.UsageError(f"{each.opts[0]} goes with {needs}, not with {other}; leave it out")


def verify_logs(radii: tuple[float, ...], *, as_json: bool, **options: Any) -> None:
    """Print what the logs tell.

    Raises:
        InputError: A file is no log, or what is asked needs settings that the log does not tell.
        CheckError: A row follows from no count, or contradicts itself.
    """
    from purecert.engine.logs.checking import Question, check_log
    from purecert.engine.logs.log_report import json_report, text_report
    from purecert.engine.logs.reading import read_log

    asked = {name: options[name] for name in ("n", "alpha", "sigma", "thin", "recertify", "seed", "every")}
    question = Question(radii=radii, **asked)
    logs = [read_log(path) for path in options["logs"]]
    checks = [check_log(log, question, position) for position, log in enumerate(logs)]
    for line in json_report(checks, question) if as_json else [text_report(checks, question)]:
        click.echo(line)
    _judge(checks, certifies_anew=question.certifies_anew)


def _judge(checks: list[Any], *, certifies_anew: bool) -> None:
    from purecert.engine.errors import CheckError, InputError
    from purecert.engine.logs.log_report import refuted_defence

    for check in checks:
        where = check.log.path
        if check.unexplained:
            first, count = check.unexplained[0], len(check.unexplained)
            defence = f"; all would follow from {refuted_defence(check)}" if check.refuted_defence else ""
            raise CheckError(
                f"{where}: {count} of {len(check.log.certified)} radii follow from no count, the first: "
                f"image {first.index}, {first.printed}{defence}; were n, alpha or sigma others, name them"
            )
        if check.contradictions:
            raise CheckError(
                f"{where}: {len(check.contradictions)} contradictions, the first: {check.contradictions[0]}"
            )
    for check in checks:
        if certifies_anew and check.told is None:
            raise InputError(
                f"{check.log.path}: expected one setting that explains the log, to certify its counts anew, found "
                f"{len(check.settings)}; name --n, --alpha and --sigma"
            )
