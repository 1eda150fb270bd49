"""engine-report: what runs claim, as a table, and as curves.

Imports stay inside the functions so that ``--help`` answers at once.
"""

from pathlib import Path
from typing import Any

import click

from purecert.engine.commands.console import EngineCommand, talk
from purecert.engine.commands.options import DEFAULT_RADII_TEXT, json_option, parse_radii


@click.command(cls=EngineCommand)
@click.argument("run_directories", metavar="RUN...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--radii", default=DEFAULT_RADII_TEXT, show_default=True, help="Radii of the table, comma-separated.")
@click.option(
    "--out", "output", type=click.Path(path_type=Path), help="Also draw the curves (PNG, SVG) into this folder."
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
@json_option
def report_command(
    run_directories: tuple[Path, ...], radii: str, output: Path | None, force: bool, as_json: bool, **options: Any
) -> None:
    """Print certified accuracy at a few radii, a line a run; draw it against the radius with --out."""
    from purecert.engine.records.run import read_run
    from purecert.engine.reports.table import print_report

    runs = [read_run(directory) for directory in run_directories]
    print_report(runs, parse_radii(radii), as_json=as_json, **options)
    if output is not None:
        from purecert.engine.reports.curve import plot

        for path in plot(runs, output, force=force):
            talk(f"drew {path}")
