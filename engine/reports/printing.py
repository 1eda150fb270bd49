"""Prints reports: as tables, or as lines of JSON."""

from collections.abc import Sequence

import click

from purecert.engine.records.run import Run
from purecert.engine.reports.best_sigma import best_sigma, best_sigma_json, best_sigma_text
from purecert.engine.reports.bonferroni import at_shared_alpha, claims_of
from purecert.engine.reports.summary import Summary, summarise, summary_json
from purecert.engine.reports.table import table
from purecert.engine.statistics.false_claims import DEFAULT_RHO


def print_report(
    runs: Sequence[Run],
    radii: Sequence[float],
    *,
    as_json: bool,
    rho: float = DEFAULT_RHO,
    bonferroni: bool = False,
    shows_best: bool = False,
) -> None:
    """Print the report of ``runs`` on stdout; as JSON a line a run, then a line for each further thing asked for.

    Raises:
        InputError: A number is out of its range, or the runs have no best one.
    """
    _print([summarise(run, radii, rho) for run in runs], as_json)
    if bonferroni:
        if not as_json:
            click.echo(
                f"\nBonferroni: alpha divided by the {claims_of(runs)} images of all runs, so that all claims hold "
                "together with probability 1 - alpha. Recomputed from the counts:\n"
            )
        shared = zip(at_shared_alpha(runs), runs, strict=True)
        _print([summarise(run, radii, rho, drawn=as_drawn.record) for run, as_drawn in shared], as_json)
    if shows_best:
        best = best_sigma(runs, radii, rho)
        click.echo(best_sigma_json(best) if as_json else f"\n{best_sigma_text(best)}")


def _print(summaries: Sequence[Summary], as_json: bool) -> None:
    if as_json:
        for summary in summaries:
            click.echo(summary_json(summary))
    else:
        click.echo(table(summaries))
