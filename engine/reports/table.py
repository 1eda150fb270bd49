"""Prints the report of several runs: a table a mode, then what to know of each run and of all; or lines of JSON."""

from collections.abc import Sequence

import click

from purecert.engine.records.run import Run
from purecert.engine.reports.asked.by_class import by_class, by_class_json, by_class_text
from purecert.engine.reports.best_sigma import best_sigma, best_sigma_json, best_sigma_text
from purecert.engine.reports.bonferroni import at_shared_alpha, claims_of
from purecert.engine.reports.notes import joint_notes, notes
from purecert.engine.reports.shared_images import share_images
from purecert.engine.reports.summary import Summary, summarise, summary_json
from purecert.engine.reports.text import (
    UNKNOWN,
    format_radius,
    markdown_table,
    marked_share,
    radius_text,
    share,
    spread,
)
from purecert.engine.statistics.false_claims import DEFAULT_RHO

AT_LEAST = "at least"  # in place of the run's name, in the line that subtracts what could be false


def table(summaries: Sequence[Summary], *, shares_images: bool = True) -> str:
    """Return one table a mode with two lines a run, in Markdown that reads as plain text, then what to know of each.

    The second line subtracts the most claims that could be false. Shares are rounded down to 0.1 %, radii to 4
    decimals; bounds on false claims are rounded up. No best of several runs is shown: chosen on these images, its
    accuracy would claim too much (``engine/reports/best_sigma.py`` has it on request).

    Args:
        summaries: Of each run.
        shares_images: Whether some runs are of the same images; the safe answer is yes.
    """
    known = [note for run in summaries for note in notes(run)] + joint_notes(summaries, shares_images=shares_images)
    return "\n\n".join([*tables(summaries), "\n".join(known)])


def tables(summaries: Sequence[Summary]) -> list[str]:
    """Return the tables alone."""
    certify = [summary for summary in summaries if summary.mode == "certify"]
    predict = [summary for summary in summaries if summary.mode == "predict"]
    return ([_certify_table(certify)] if certify else []) + ([_predict_table(predict)] if predict else [])


def _certify_table(summaries: Sequence[Summary]) -> str:
    radii = sorted({point.radius for summary in summaries for point in summary.certified_at})
    heading = [*(f"r >= {radius_text(radius)}" for radius in radii), "avg radius", "abstained"]
    lines = [line for summary in summaries for line in _certify_lines(summary, radii)]
    return _with_identity(summaries, heading, lines)


def _certify_lines(summary: Summary, radii: Sequence[float]) -> list[list[str]]:
    points = {point.radius: point for point in summary.certified_at}
    certified, at_least = [], []
    for radius in radii:
        point = points.get(radius)
        if point is None:
            certified.append(UNKNOWN)
            at_least.append(UNKNOWN)
            continue
        certified.append(marked_share(point.images, summary.images, is_settled=point.is_settled))
        at_least.append(marked_share(point.images_at_least, summary.images, is_settled=point.is_settled))
    average = UNKNOWN if summary.average_radius is None else format_radius(summary.average_radius)
    return [[*certified, average, share(summary.abstained, summary.images)], [*at_least, UNKNOWN, UNKNOWN]]


def _predict_table(summaries: Sequence[Summary]) -> str:
    lines = []
    for run in summaries:
        lines.append([share(run.correct, run.images), share(run.abstained, run.images)])
        lines.append([share(run.correct_at_least, run.images), UNKNOWN])
    return _with_identity(summaries, ["accuracy", "abstained"], lines)


def _with_identity(summaries: Sequence[Summary], heading: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """Return a table of ``lines``, two a run, after the columns that say which run it is."""
    shows_draws = any(summary.stopping for summary in summaries)
    stopping = ["mode", "draws"] if shows_draws else []
    rows = [["run", "data", "sigma", "n", *stopping, "images", *heading]]
    for summary, first, second in zip(summaries, lines[::2], lines[1::2], strict=True):
        drawn = _drawn(summary) if shows_draws else []
        identity = [summary.run, summary.data, f"{summary.sigma}", f"{summary.n_estimate}", *drawn, f"{summary.images}"]
        rows.append([*identity, *first])
        rows.append([AT_LEAST, *[""] * (len(identity) - 1), *second])
    return "\n".join(markdown_table(rows))


def _drawn(summary: Summary) -> list[str]:
    """Return the mode, and the mean draws of an image."""
    mode = "fixed" if summary.stopping is None else summary.stopping.rule.rule
    return [mode, spread(summary.draws / summary.images) if summary.images else UNKNOWN]


def print_report(
    runs: Sequence[Run],
    radii: Sequence[float],
    *,
    as_json: bool,
    rho: float = DEFAULT_RHO,
    bonferroni: bool = False,
    shows_best: bool = False,
    shows_classes: bool = False,
) -> None:
    """Print the report of ``runs`` on stdout; as JSON a line a run, then a line for each further thing asked for.

    Nothing is printed before all of it is known.

    Raises:
        InputError: A number is out of its range, or the runs have no best one.
    """
    shares_images = share_images(runs)
    texts = _texts([summarise(run, radii, rho) for run in runs], as_json, shares_images)
    if bonferroni:
        if not as_json:
            texts.append(
                f"\nBonferroni: alpha divided by the {claims_of(runs)} images of all runs, finished or not, so that "
                "all claims hold together with probability 1 - alpha. Recomputed from the counts:\n"
            )
        shared = zip(at_shared_alpha(runs), runs, strict=True)
        summaries = [summarise(run, radii, rho, drawn=as_drawn.record) for run, as_drawn in shared]
        texts += _texts(summaries, as_json, shares_images)
    if shows_best:
        best = best_sigma(runs, radii, rho)
        texts.append(best_sigma_json(best) if as_json else f"\n{best_sigma_text(best)}")
    for run in runs if shows_classes else ():
        found = by_class(run, radii)
        texts.append(by_class_json(found) if as_json else f"\n{by_class_text(run, found)}")
    for text in texts:
        click.echo(text)


def _texts(summaries: Sequence[Summary], as_json: bool, shares_images: bool) -> list[str]:
    if as_json:
        return [summary_json(summary) for summary in summaries]
    return [table(summaries, shares_images=shares_images)]
