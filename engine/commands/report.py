"""engine-report: what runs claim, as a table, and as curves.

Imports stay inside the functions so that ``--help`` answers at once.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from purecert.engine.commands.console import EngineCommand, talk
from purecert.engine.commands.options import DEFAULT_RADII_TEXT, combined, json_option, parse_radii
from purecert.engine.commands.report_questions import answer_question, is_question, question_options
from purecert.engine.errors import InputError

if TYPE_CHECKING:
    from purecert.engine.records.run import Run


@click.command(cls=EngineCommand)
@click.argument("run_directories", metavar="RUN...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--radii", default=DEFAULT_RADII_TEXT, show_default=True, help="Radii of the table, comma-separated.")
@click.option(
    "-o",
    "--out",
    "--output",
    "output",
    type=click.Path(path_type=Path),
    help="Also draw the curves (PNG, SVG) into this folder.",
)
@click.option("--force", is_flag=True, help="Replace the drawings in --out.")
@click.option(
    "--rho",
    default=1e-3,
    show_default=True,
    help='Probability that more certificates are false than the "at least" lines subtract.',
)
@click.option("--bonferroni", is_flag=True, help="Also share alpha among all certificates of all runs given.")
@click.option("--best-sigma", "shows_best", is_flag=True, help="Also show the best run per radius, marked as selected.")
@click.option(
    "--by-class", "shows_classes", is_flag=True, help="Also show each class, by its name if the plan has one."
)
@click.option("--model-card", metavar="NAME", help="Print instead a block for the model card of NAME (Hugging Face).")
@combined(question_options, json_option)
@click.pass_context
def report_command(
    context: click.Context,
    /,
    run_directories: tuple[Path, ...],
    radii: str,
    output: Path | None,
    force: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Print certified accuracy at a few radii, a line a run; draw it against the radius with --out.

    With --ask-alpha, --ask-n, --two-sided, --top-k or --costs: put one question to one finished run of --mode fixed,
    without a draw. The answer is no result of the run's own; --out writes it beside the drawings, named question-*.
    """
    if is_question(context):
        asked = parse_radii(radii)
        answer_question(run_directories[0], asked, output=output, force=force, as_json=as_json, **options)
    else:
        report = {name: options[name] for name in ("rho", "bonferroni", "shows_best", "shows_classes", "model_card")}
        _report(run_directories, parse_radii(radii), output, force=force, as_json=as_json, **report)


def _report(
    run_directories: tuple[Path, ...],
    radii: tuple[float, ...],
    output: Path | None,
    *,
    force: bool,
    model_card: str | None,
    **options: Any,
) -> None:
    from purecert.engine.records.run import read_run
    from purecert.engine.reports.asked import model_card as cards
    from purecert.engine.reports.table import print_report

    runs = [read_run(directory) for directory in run_directories]
    if model_card is None:
        print_report(runs, radii, **options)
    elif others := [name for name, value in options.items() if value and name != "rho"]:
        raise InputError(f"--model-card: expected no other form of the report beside it, got {others[0]}")
    else:
        click.echo(cards.model_card(runs, model_card, radii, options["rho"]))
    if output is not None:
        _draw(runs, output, force=force)


def _draw(runs: list[Run], output: Path, *, force: bool) -> None:
    from purecert.engine.reports.chart_style import check_free
    from purecert.engine.reports.curve import plot
    from purecert.engine.reports.distribution_picture import (
        DISTRIBUTION_STEM,
        distribution_paths,
        plot_distributions,
        series_of,
    )

    series = series_of(runs)
    for path in distribution_paths(output, DISTRIBUTION_STEM) if series else []:
        check_free(path, force=force)  # before anything is drawn
    for path in (*plot(runs, output, force=force), *plot_distributions(series, output, DISTRIBUTION_STEM, force=force)):
        talk(f"drew {path}")
