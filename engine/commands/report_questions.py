"""The part of ``engine-report`` that puts a question to one finished run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from purecert.engine.commands.console import talk
from purecert.engine.commands.options import combined

if TYPE_CHECKING:
    from purecert.engine.questions.question import Kind

_KINDS: dict[str, Kind] = {"two_sided": "two-sided", "top_k": "top-k", "costs": "costs"}
_NAMES = {"ask_alpha", "ask_n", *_KINDS}
_OF_RUNS = {"bonferroni", "shows_best", "shows_classes", "model_card"}

question_options = combined(
    click.option("--ask-alpha", type=float, metavar="ALPHA", help="Question: the run's counts at another alpha."),
    click.option("--ask-n", type=int, metavar="N", help="Question: N of its draws, chosen at random."),
    click.option("--two-sided", is_flag=True, help="Question: radii against every other class one by one."),
    click.option(
        "--top-k",
        type=int,
        metavar="K",
        help="Question: the radius within which the label stays among the K likeliest.",
    ),
    click.option(
        "--costs",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="Question: the radius within which no costly class can be the answer; a cost matrix as .json or .csv.",
    ),
)


def is_question(context: click.Context) -> bool:
    """Return whether the command line puts a question; it then has one RUN, one kind, and nothing about several runs.

    Raises:
        click.UsageError: It has more.
    """
    given = {
        each.name or "": each
        for each in context.command.params
        if context.get_parameter_source(each.name or "") is ParameterSource.COMMANDLINE
    }
    if not _NAMES & given.keys():
        return False
    if len(context.params["run_directories"]) != 1:
        raise click.UsageError("expected one RUN to put a question to, got several; ask them one after the other")
    kinds = [given[name].opts[0] for name in _KINDS if name in given]
    if len(kinds) > 1:
        raise click.UsageError(f"expected one question, got {' and '.join(kinds)}; ask them one after the other")
    for name in sorted(_OF_RUNS & given.keys()):
        raise click.UsageError(f"{given[name].opts[0]} goes with reports of runs, not with a question; leave it out")
    return True


def answer_question(
    directory: Path,
    radii: tuple[float, ...],
    *,
    rho: float,
    output: Path | None,
    force: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Print what the run answers, and write it into ``output`` where there is one.

    Raises:
        InputError: The run cannot answer the question, or the question is none.
    """
    from purecert.engine.questions.answer import answer
    from purecert.engine.questions.costs import read_costs
    from purecert.engine.questions.printing import answer_json, answer_text
    from purecert.engine.questions.question import Question
    from purecert.engine.questions.writing import write_answer
    from purecert.engine.records.run import read_run

    question = Question(
        kind=_kind(options),
        alpha=options["ask_alpha"],
        n=options["ask_n"],
        top_k=options["top_k"],
        costs=None if options["costs"] is None else read_costs(options["costs"]),
    )
    found = answer(read_run(directory), question, radii, rho)
    paths = [] if output is None else write_answer(found, output, force=force)
    click.echo(answer_json(found) if as_json else answer_text(found))
    for path in paths:
        talk(f"wrote {path}")


def _kind(options: dict[str, Any]) -> Kind:
    asked = [kind for name, kind in _KINDS.items() if options[name] is not None and options[name] is not False]
    return asked[0] if asked else "certificates"
