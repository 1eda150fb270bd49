"""What was measured as Markdown: times rounded up, rates and ratios down, so that nothing looks better than it was."""

from collections.abc import Iterator
from dataclasses import asdict
from statistics import median

from certifying.comparison import Compared, SideResult
from certifying.memory import Growth
from certifying.outside import Outside
from certifying.same_votes import LEVEL

from purecert.engine.bench.table import rounded_down, rounded_up
from purecert.engine.reports.text import markdown_table

_MIB = 2**20


def comparison_table(compared: Compared) -> str:
    """Return a line a side, then whether the engines' outputs are the baseline's."""
    heading = [
        "side",
        "precision",
        "s",
        "s, loop",
        "samples/s",
        "peak MiB",
        "x loop",
        "least",
        "largest",
        "x whole",
        "mean radius",
        "abstained",
    ]
    lines = markdown_table([heading, *(_cells(side) for side in compared.sides)])
    return "\n".join([*lines, "", *_notes(compared)])


def memory_table(growth: Growth) -> str:
    """Return a line for each n, then the growth."""
    rows = [[f"{size.n:,}", *(f"{peak / _MIB:.1f}" for peak in size.peaks)] for size in growth.sizes]
    heading = ["n", *(f"run {number}, MiB" for number in range(1, len(rows[0])))]
    found, noise = (f"{size / _MIB:.1f} MiB" for size in (growth.growth, growth.noise))
    said = f"- the median grows by {found}; runs of one n differ by up to {noise}"
    return "\n".join([*markdown_table([heading, *rows], text_columns=0), "", said])


def outside_table(outside: Outside) -> str:
    """Return the loops' times, the share, and the parts of what is not the network."""
    loops = {
        "network, loop": outside.network_loop_seconds,
        "constant, loop": outside.constant_loop_seconds,
        "network, process": outside.network_seconds,
        "constant, process": outside.constant_seconds,
    }
    rows = [[name, *(rounded_up(seconds) for seconds in times)] for name, times in loops.items()]
    heading = ["all images", *(f"round {number}, s" for number in range(1, len(rows[0])))]
    network = median(outside.network_loop_seconds)
    parts = [[name, rounded_up(seconds), f"{seconds / network:.2%}"] for name, seconds in asdict(outside.parts).items()]
    return "\n".join(
        [
            *markdown_table([heading, *rows], text_columns=1),
            f"\noutside the network: {outside.share:.2%} of the loop, {outside.whole_share:.2%} of a process\n",
            *markdown_table([["part, alone", "s", "of the loop"], *parts], text_columns=1),
        ]
    )


def _cells(side: SideResult) -> list[str]:
    return [
        side.side,
        side.precision,
        rounded_up(median(side.seconds)),
        rounded_up(median(side.loop_seconds)),
        rounded_down(median(side.samples_per_second)),
        f"{-(-max(side.memory_peak) // _MIB):,}",
        *(rounded_down(ratio) for ratio in (median(side.ratios), min(side.ratios), max(side.ratios))),
        rounded_down(median(side.whole_ratios)),
        f"{side.mean_radius:.4f}",
        str(side.abstained),
    ]


def _notes(compared: Compared) -> Iterator[str]:
    rounds = len(compared.sides[0].seconds)
    yield f"- s, samples/s and x are medians of {rounds} rounds; x is to {compared.baseline} in the same round"
    for side in compared.sides:
        if side.outputs is None:
            continue
        labels, votes = side.outputs.agreement, side.outputs.votes
        verdict = "agree" if side.outputs.agree else "DO NOT AGREE"
        limit = f"{side.outputs.agreement_limit:.1%}"
        yield f"- {side.side}: outputs {verdict}; {labels.same} of {labels.draws} labels on equal rows (least: {limit})"
        shares = f"{votes.share:.4%} of {votes.draws:,} votes for the class, the baseline {votes.other_share:.4%}"
        yield (
            f"- {side.side}: {shares}; "
            f"p {votes.least_p_value:.2g} image by image, {votes.pooled_p_value:.2g} together (least: {LEVEL:g})"
        )
        if side.build_seconds:
            yield f"- {side.side}: compiled ahead in {rounded_up(side.build_seconds)} s"
