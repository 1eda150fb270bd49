"""What to know of runs beside their table: what was claimed at which risk, how the draws ended, and the marks."""

from collections.abc import Iterator, Sequence

from purecert.engine.procedures.spec import ExtensionSpec
from purecert.engine.records.invalid_rows import InvalidRows
from purecert.engine.reports.distribution import distribution_notes
from purecert.engine.reports.stopping import GIVEN_UP_LEVEL, GivenUp, Stopping
from purecert.engine.reports.summary import Summary
from purecert.engine.reports.text import NOT_SETTLED_NOTE, radius_text, rounded_up, spread
from purecert.engine.statistics.false_claims import any_of_all


def notes(summary: Summary) -> Iterator[str]:
    """Return a line for everything that a reader of the run's numbers must know."""
    for note in _notes(summary):
        yield f"- {summary.run}: {note}"


def joint_notes(summaries: Sequence[Summary], *, shares_images: bool) -> list[str]:
    """Return what holds of all runs together; nothing of a single one, whose own line says it.

    Args:
        shares_images: Whether some runs are of the same images, so that a reader could choose between them.
    """
    if len(summaries) < 2:
        return []
    any_at_most = rounded_up(any_of_all(summary.false_claims for summary in summaries))
    risk = f"- all runs: the probability of any false claim at all is at most {any_at_most}"
    choice = "- all runs: to report the best run at each radius is to select on these images; say so if you do"
    return [risk, choice] if shares_images else [risk]


def _notes(summary: Summary) -> Iterator[str]:
    claims, images = summary.false_claims, summary.images
    what = "certificates" if summary.mode == "certify" else "predictions"
    yield (
        f"{summary.purifier} on {summary.backend} in {summary.executed_precision}; "
        f"alpha {summary.alpha:.6g} each: among {images} images at most {rounded_up(claims.expected_at_most)} false "
        f"{what} are expected, and the probability of any at all is at most {rounded_up(claims.any_at_most)}"
    )
    if summary.correct is not None:
        yield (
            f"at least: the share after subtracting {claims.number_at_most}, the most of these {what} that could be "
            f"false (confidence {100 * (1 - claims.rho):.10g} %, rho {claims.rho:.6g})"
        )
    else:
        yield "no labels, so no accuracy"
    if summary.distribution is not None:
        yield from distribution_notes(summary.distribution)
    if summary.stopping is not None:
        yield from _stopping_notes(summary, summary.stopping)
    if summary.extension is not None:
        yield _looks(summary, summary.extension)
    if summary.invalid_draws:
        yield f"{summary.invalid_draws} of {summary.draws} draws were invalid (a logit was not finite)"
        if problem := InvalidRows(invalid=summary.invalid_draws, rows=summary.draws).problem():
            yield f"too many: {problem}, and engine-certify ends such a run"
    yield from summary.marks


def _stopping_notes(summary: Summary, stopping: Stopping) -> Iterator[str]:
    yield f"mode {stopping.rule.rule}: {_rule(stopping)}; {_split(stopping)}"
    yield (
        f"{spread(summary.draws / summary.images)} draws an image on average, looked at {spread(stopping.mean_looks)} "
        f"times; {stopping.ended_early} of {summary.images} images ended before all draws were drawn"
    )
    if stopping.alpha != summary.alpha:
        yield (
            f"the draws stopped at alpha {stopping.alpha:.6g}, too early for many certificates at {summary.alpha:.6g}; "
            f"for these, run with --alpha {summary.alpha:.6g}"
        )
    if stopping.out_of_reach:
        listed = ", ".join(radius_text(radius) for radius in stopping.out_of_reach)
        yield f"out of reach of {summary.n_estimate} draws, and never asked for: {listed}"
    if stopping.given_up is not None:
        yield _price(summary, stopping.given_up)
    elif stopping.radii_asked:
        settled = stopping.radii_asked - stopping.radii_undecided
        yield (
            f"of {stopping.radii_asked} radii of images {settled} were certified or given up, "
            f"{stopping.radii_undecided} were undecided at the end and count as not certified"
        )
    if not all(point.is_settled for point in summary.certified_at):
        yield NOT_SETTLED_NOTE


def _looks(summary: Summary, extension: ExtensionSpec) -> str:
    first = f"the look at n = {extension.n_first:,} has {extension.alpha_first:.6g} of alpha"
    last = f"for n = {extension.n_last:,}"
    if summary.n_estimate == extension.n_last:
        return f"{first}, the rest is {last}: its draws were continued, and the larger of both bounds counts"
    if not summary.may_be_extended:
        return f"{first}, the rest was kept {last}; with more images later it cannot be extended any more"
    return f"{first}, the rest is kept {last} (engine-certify --extend)"


def _price(summary: Summary, given_up: GivenUp) -> str:
    return (
        f"the price: {spread(summary.draws / summary.images)} draws an image were drawn; drawn to n = "
        f"{summary.n_estimate:,}, {given_up.images:.1f} more images would be expected to reach a larger listed radius "
        f"({GIVEN_UP_LEVEL:.0%}: {given_up.at_least} to {given_up.at_most}), if Phi^-1(p) is spread over images as the "
        "tables suppose; what tables certify and a fixed n would not is not set off"
    )


def _rule(stopping: Stopping) -> str:
    rule = stopping.rule
    if rule.rule == "radii":
        asked = (radius for radius in rule.radii if radius not in stopping.out_of_reach)
        listed = ", ".join(radius_text(radius) for radius in asked)
        return f"stops when each radius of {listed} is certified or given up, so there is no average radius"
    if rule.rule == "tolerance":
        return f"stops when the radius is within {rule.tolerance:.4g} of the largest that the draws leave possible"
    return "stops when the answer is settled"


def _split(stopping: Stopping) -> str:
    """Return how alpha is split."""
    if stopping.given_up is not None:
        return (
            f"stopping tables, each of alpha {stopping.alpha_stop:.6g}, at a price of {stopping.rule.price:.6g} draws"
        )
    parts = [f"of alpha {stopping.alpha_stop:.6g} for stopping"]
    if stopping.rule.alpha_final:
        parts.append(f"{stopping.rule.alpha_final:.6g} for the bound after the last draw")
    giving_up = f"{stopping.rule.alpha_refute:.6g} more for giving up"
    if (chance := stopping.rule.least_chance) is not None:
        giving_up += f", and where the rest of the draws would answer with a chance below {chance:.6g}"
    return f"{', '.join(parts)}; {giving_up}, which makes no claim false"
