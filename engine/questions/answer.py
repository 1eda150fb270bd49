"""The answer to a question, over the images of a run."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from purecert.engine.errors import printable
from purecert.engine.questions.claims import Claim, claims_of
from purecert.engine.questions.question import Kind, Question, record_asked
from purecert.engine.questions.thinning import thinned, thinning_seed
from purecert.engine.records.run import Run
from purecert.engine.records.run_record import marks_of
from purecert.engine.reports.distribution import Distributions, distributions
from purecert.engine.reports.summary import check_radii
from purecert.engine.reports.text import reaches
from purecert.engine.statistics.false_claims import DEFAULT_RHO, FalseClaims, false_claims

ANSWER_SCHEMA = "purecert.answer/1"
NOT_THE_RUNS_OWN = "an answer to a question that was put to a finished run; it is no result of the run itself"
CHOICE = (
    "the question was put when the run's results could be seen: it is one answer to one question; whoever asks several "
    "and shows the best claims too much"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class AnsweredAt:
    """How many of the images asked about keep what is right out to a radius."""

    radius: float  # L2, [0, 1] pixel units
    images: int
    images_at_least: int  # after subtracting the most claims that could be false, at confidence 1 - rho


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What a finished run answers to one question. Every radius is rounded down."""

    schema: str
    is_not: str  # what no reader may take it for
    choice: str
    kind: Kind
    top_k: int | None
    costs: str | None  # SHA-256 of the file
    alpha: float  # of one image, all its bounds together
    n: int  # draws of each image that bound probabilities
    thinning_seed: str | None  # of the choice of draws; None where all are kept
    numpy: str | None  # version that chose them: another may choose others by the same seed
    run: str  # name of its directory
    run_digest: str  # SHA-256 of run.json
    run_alpha: float
    run_n: int
    sigma: float
    classes: int
    tv: float  # taken off every bound
    is_labelled: bool
    images: int  # finished
    images_asked: int  # of them, those that the question is about: of costs, where some mistake costs something
    answered_at: tuple[AnsweredAt, ...]
    average_radius: float | None  # over the images asked about, 0 where it is wrong; None where there is none
    distribution: Distributions | None  # over the same images
    false_claims: FalseClaims
    marks: tuple[str, ...]  # what to know of the run before trusting the numbers
    claims: tuple[Claim, ...]


def answer(run: Run, question: Question, radii: Sequence[float], rho: float = DEFAULT_RHO) -> Answer:
    """Return what the finished images of ``run`` answer to ``question``, counted at ``radii``.

    Each image's claim is false with probability at most the question's alpha, over the run's own draws.

    Raises:
        InputError: The run cannot answer the question, a radius is negative or not a number, or ``rho`` is no
            probability.
    """
    check_radii(radii)
    record = record_asked(run, question)
    n, own = record.spec.n_estimate, run.record.spec
    seed = thinning_seed(run, n) if n < own.n_estimate else None
    counts = [line.counts[-1] if seed is None else thinned(line.counts[-1], n, seed, line.index) for line in run.lines]
    claims = claims_of(record, question, run.lines, counts)
    asked = [claim for claim in claims if claim.is_asked]
    reached = [claim.right_radius for claim in asked]
    false = false_claims(len(asked), record.spec.alpha, rho)
    return Answer(
        schema=ANSWER_SCHEMA,
        is_not=NOT_THE_RUNS_OWN,
        choice=CHOICE,
        kind=question.kind,
        top_k=question.top_k,
        costs=None if question.costs is None else question.costs.digest,
        alpha=record.spec.alpha,
        n=n,
        thinning_seed=seed,
        numpy=None if seed is None else np.__version__,
        run=printable(run.directory.resolve().name),
        run_digest=run.digest,
        run_alpha=own.alpha,
        run_n=own.n_estimate,
        sigma=own.sigma,
        classes=record.classes,
        tv=record.tv,
        is_labelled=all(line.label is not None for line in run.lines),
        images=len(claims),
        images_asked=len(asked),
        answered_at=tuple(_answered_at(reached, radius, false) for radius in sorted(set(radii))),
        average_radius=math.fsum(reached) / len(reached) if reached else None,
        distribution=distributions([c.p_right for c in asked], reached, own.sigma) if asked else None,
        false_claims=false,
        marks=marks_of(run.record, len(run.lines)),
        claims=tuple(claims),
    )


def _answered_at(reached: Sequence[float], radius: float, false: FalseClaims) -> AnsweredAt:
    # A radius of 0 is no claim at all, so it reaches no radius, not even 0.
    images = sum(own > 0 and reaches(own, radius) for own in reached)
    return AnsweredAt(radius=radius, images=images, images_at_least=max(0, images - false.number_at_most))
