"""What is compared and what comes of it: numbers for each round, ratios within it, and whether outputs are the same."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
from certifying.engine_side import Engine
from certifying.same_votes import VoteTest, compare_votes
from certifying.work import Certified, Work

from purecert.engine.bench.agreement import Agreement


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """What is asked for."""

    model: str | None  # file that the plans were exported from; None: the demo's where it is that one
    engines: tuple[Engine, ...]
    work: Work
    rounds: int
    agreement_draws: int
    folder: Path  # for the runs


@dataclass(frozen=True, kw_only=True, slots=True)
class Outputs:
    """An engine's answers beside those of eager FP32."""

    agreement: Agreement  # of labels, on equal noisy rows
    agreement_limit: float
    votes: VoteTest  # beside the baseline's, each side's own draws of all rounds

    @property
    def agree(self) -> bool:
        """Return whether neither labels nor votes tell the two apart by more than is allowed."""
        return self.agreement.share >= self.agreement_limit and self.votes.agree


@dataclass(frozen=True, kw_only=True, slots=True)
class SideResult:
    """One side: a number for each round, each from a process of its own."""

    side: str
    precision: str
    seconds: tuple[float, ...]  # of the process, start of Python left out
    loop_seconds: tuple[float, ...]  # from the first draw to the last certificate
    samples_per_second: tuple[float, ...]  # in the loop
    memory_peak: tuple[int, ...]  # bytes, resident
    mean_radius: float  # of the first round
    abstained: int  # in the first round
    ratios: tuple[float, ...]  # the baseline's loop over this one, in the same round
    whole_ratios: tuple[float, ...]  # the same of the whole processes
    build_seconds: float | None  # compiling ahead, which no other number holds; of an engine
    outputs: Outputs | None  # of an engine


@dataclass(frozen=True, kw_only=True, slots=True)
class Compared:
    """All sides, and which of the field's is the baseline: the one with the fastest loop."""

    accelerator: str | None
    baseline: str
    sides: tuple[SideResult, ...]


def side_result(
    side: str,
    runs: Sequence[Certified],
    baseline: Sequence[Certified],
    build_seconds: float | None = None,
    outputs: Outputs | None = None,
) -> SideResult:
    """Return what a side's ``runs`` come to beside those of the ``baseline`` in the same rounds."""
    pairs = list(zip(baseline, runs, strict=True))
    return SideResult(
        side=side,
        precision=runs[0].executed_precision,
        seconds=tuple(run.seconds for run in runs),
        loop_seconds=tuple(run.loop_seconds for run in runs),
        samples_per_second=tuple(run.samples_per_second for run in runs),
        memory_peak=tuple(run.memory_peak for run in runs),
        mean_radius=runs[0].mean_radius,
        abstained=runs[0].abstained,
        ratios=tuple(base.loop_seconds / run.loop_seconds for base, run in pairs),
        whole_ratios=tuple(base.seconds / run.seconds for base, run in pairs),
        build_seconds=build_seconds,
        outputs=outputs,
    )


def fastest(sides: dict[str, list[Certified]]) -> str:
    """Return the side with the least median time of its loop."""
    return min(sides, key=lambda side: median(run.loop_seconds for run in sides[side]))


def votes_of_rounds(runs: Sequence[Certified], baseline: Sequence[Certified]) -> VoteTest:
    """Return the test of both sides' votes over all rounds, for the classes that the baseline's selection picked."""
    classes = np.sum([run.selected for run in baseline], axis=0)[:, :-1].argmax(axis=1)
    return compare_votes(classes, *(np.sum([run.votes for run in side], axis=0) for side in (runs, baseline)))
