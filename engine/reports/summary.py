"""What a run says in a few numbers, with the marks that a reader must see beside them. Every rounding is downwards."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from purecert.engine.errors import InputError, printable
from purecert.engine.files.canonical import canonical_json
from purecert.engine.procedures.outcomes import Abstention, Certificate
from purecert.engine.procedures.spec import DEFAULT_RADII, ExtensionSpec, Mode
from purecert.engine.records.lines import INVALID, Line, draws_of
from purecert.engine.records.run import Run
from purecert.engine.records.run_record import RunRecord, marks_of
from purecert.engine.reports.distribution import Distributions, distributions_of, has_average
from purecert.engine.reports.stopping import Stopping, stopping_of
from purecert.engine.reports.text import reaches
from purecert.engine.statistics.false_claims import DEFAULT_RHO, FalseClaims, false_claims


@dataclass(frozen=True, kw_only=True, slots=True)
class CertifiedAt:
    """How many images are certified to be right out to a radius."""

    radius: float  # L2, [0, 1] pixel units
    images: int  # with the right class and a certified radius of at least this
    images_at_least: int  # after subtracting the most that could be false, at confidence 1 - rho, at all radii
    is_settled: (
        bool  # False where the run may have stopped before this radius was certified, at this alpha, or given up
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Summary:
    """One run in numbers."""

    run: str  # name of its directory
    mode: Mode
    purifier: str
    data: str
    backend: str
    executed_precision: str
    sigma: float
    n_estimate: int  # at the most, where the run may stop
    alpha: float
    images: int  # finished
    images_asked: int
    correct: int | None  # committed to the right class; None where the data has no labels, as all that needs them
    correct_at_least: int | None  # after subtracting the most that could be false, at confidence 1 - rho
    abstained: int
    invalid_draws: int  # rows whose logits were not all finite; they count against every class
    draws: int
    certified_at: tuple[CertifiedAt, ...]  # empty in a prediction run, and without labels
    average_radius: float | None  # mean over all images of the certified radius, 0 where it is wrong or abstains;
    # None too where listed radii end the draws: then a radius says where the draws stopped
    distribution: Distributions | None  # of what is averaged, beside every average
    false_claims: FalseClaims
    stopping: Stopping | None  # None where the number of draws is fixed
    extension: ExtensionSpec | None  # None where alpha was not split for draws that may be continued
    may_be_extended: bool  # they may still be: not a second time, nor after more images
    against_label: bool
    marks: tuple[str, ...]  # what a reader must know before trusting the numbers


def summarise(
    run: Run, radii: Sequence[float] = DEFAULT_RADII, rho: float = DEFAULT_RHO, drawn: RunRecord | None = None
) -> Summary:
    """Return the numbers of ``run``: over its finished images, and marked where that is not all of them.

    Args:
        run: A run as read; of any mode.
        radii: Where to count certified images. A radius r counts those certified to at least r, r taken as the
            decimal it is written as (the double nearest to 0.3 lies below 0.3).
        drawn: Of the run as its draws were made, where ``run`` concludes from them at another alpha.
        rho: Probability, at most, that more claims are false than the numbers named "at least" allow for.

    Raises:
        InputError: A radius is negative or not a number, or ``rho`` is no probability.
    """
    check_radii(radii)
    record, rows = run.record, run.lines
    is_labelled = bool(rows) and all(line.label is not None for line in rows)
    is_certified = is_labelled and record.spec.mode == "certify"
    claims = false_claims(len(rows), record.spec.alpha, rho)
    correct = sum(line.correct for line in rows) if is_labelled else None
    return Summary(
        run=printable(run.directory.resolve().name),
        mode=record.spec.mode,
        purifier=record.purifier,
        data=record.data.name,
        backend=record.backend.name,
        executed_precision=record.backend.executed_precision,
        sigma=record.spec.sigma,
        n_estimate=record.spec.n_estimate,
        alpha=record.spec.alpha,
        images=len(rows),
        images_asked=record.data.images,
        correct=correct,
        correct_at_least=None if correct is None else max(0, correct - claims.number_at_most),
        abstained=sum(isinstance(line.outcome, Abstention) for line in rows),
        invalid_draws=sum(phase.get(INVALID, 0) for line in rows for phase in line.counts),
        draws=sum(draws_of(line) for line in rows),
        certified_at=_certified_at(run, radii, claims, drawn or record) if is_certified else (),
        average_radius=_average_radius(run) if is_certified else None,
        distribution=distributions_of(record, rows) if is_certified else None,
        false_claims=claims,
        stopping=None if record.spec.stop is None else stopping_of(drawn or record, rows),
        extension=record.spec.extension,
        may_be_extended=record.spec.extension is not None and not (record.spec.is_extended or record.data.earlier),
        against_label=record.spec.against_label,
        marks=marks_of(record, len(rows)),
    )


def check_radii(radii: Sequence[float]) -> None:
    """Refuse what is no radius.

    Raises:
        InputError: A radius is negative or not a number.
    """
    if not all(radius >= 0 and math.isfinite(radius) for radius in radii):
        raise InputError(f"--radii: expected radii of at least 0 in [0, 1] pixel units, got {list(radii)}")


def correct_radii(rows: Sequence[Line]) -> list[float]:
    """Return the certified radii of the images whose certificate names the right class, in increasing order."""
    return sorted(line.outcome.radius for line in rows if line.correct and isinstance(line.outcome, Certificate))


def summary_json(summary: Summary) -> str:
    """Return ``summary`` as one line of JSON."""
    return canonical_json(asdict(summary))


def certified_images(rows: Sequence[Line], radius: float) -> int:
    """Return how many images are certified to be right out to ``radius``, as it is written."""
    return sum(reaches(reached, radius) for reached in correct_radii(rows))


def _certified_at(run: Run, radii: Sequence[float], claims: FalseClaims, drawn: RunRecord) -> tuple[CertifiedAt, ...]:
    points = [(radius, certified_images(run.lines, radius)) for radius in sorted(set(radii))]
    return tuple(
        CertifiedAt(
            radius=radius,
            images=images,
            images_at_least=max(0, images - claims.number_at_most),
            is_settled=is_settled(run.record, radius, drawn),
        )
        for radius, images in points
    )


def is_settled(record: RunRecord, radius: float, drawn: RunRecord) -> bool:
    """Return whether draws made as ``drawn`` says went on until ``record`` certified or gave up ``radius``."""
    if drawn.spec.stop is None or drawn.spec.stop.rule != "radii":
        return True
    return radius in drawn.spec.stop.radii and record.spec.alpha == drawn.spec.alpha


def _average_radius(run: Run) -> float | None:
    if not has_average(run.record):
        return None
    return math.fsum(correct_radii(run.lines)) / len(run.lines)
