"""What a run says in a few numbers, with the marks that a reader must see beside them. Every rounding is downwards."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from decimal import Decimal

from purecert.engine.canonical import canonical_json
from purecert.engine.certificates import INVALID, Abstention, Certificate, Row, format_radius
from purecert.engine.errors import InputError
from purecert.engine.ledger import Run
from purecert.engine.markdown import markdown_table
from purecert.engine.run_record import BackendRecord, RunRecord
from purecert.engine.spec import Mode

DEFAULT_RADII = (0.0, 0.25, 0.5, 0.75, 1.0)

_FULL_ROW_CHECK = 1000
_UNKNOWN = "-"  # of a table's cell


@dataclass(frozen=True, kw_only=True, slots=True)
class CertifiedAt:
    """How many images are certified to be right out to a radius."""

    radius: float  # L2, [0, 1] pixel units
    images: int  # with the right class and a certified radius of at least this


@dataclass(frozen=True, kw_only=True, slots=True)
class FalseClaims:
    """What the failure probabilities of single certificates add up to, over the images of one run."""

    expected_at_most: float  # number of false certificates
    any_at_most: float  # probability that one or more are false


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
    n_estimate: int
    alpha: float
    images: int  # finished
    images_asked: int
    correct: int | None  # committed to the right class; None where the data has no labels, as all that needs them
    abstained: int
    invalid_draws: int  # rows whose logits were not all finite; they count against every class
    draws: int
    certified_at: tuple[CertifiedAt, ...]  # empty in a prediction run, and without labels
    average_radius: float | None  # mean over all images of the certified radius, 0 where it is wrong or abstains
    false_claims: FalseClaims
    marks: tuple[str, ...]  # what a reader must know before trusting the numbers


def summarise(run: Run, radii: Sequence[float] = DEFAULT_RADII) -> Summary:
    """Return the numbers of ``run``: over its finished images, and marked where that is not all of them.

    Args:
        run: A run as read; of any mode.
        radii: Where to count certified images. A radius r counts those certified to at least r, r taken as the
            decimal it is written as (the double nearest to 0.3 lies below 0.3).

    Raises:
        InputError: A radius is negative or not a number.
    """
    if not all(radius >= 0 and math.isfinite(radius) for radius in radii):
        raise InputError(f"--radii: expected radii of at least 0 in [0, 1] pixel units, got {list(radii)}")
    record, rows = run.record, run.rows
    is_labelled = bool(rows) and all(row.label is not None for row in rows)
    is_certified = is_labelled and record.mode == "certify"
    counts = [phase for row in rows for phase in row.counts]
    return Summary(
        run=run.directory.resolve().name,
        mode=record.mode,
        purifier=record.purifier,
        data=record.data.name,
        backend=record.backend.name,
        executed_precision=record.backend.executed_precision,
        sigma=record.sigma,
        n_estimate=record.n_estimate,
        alpha=record.alpha,
        images=len(rows),
        images_asked=record.data.images,
        correct=sum(row.correct for row in rows) if is_labelled else None,
        abstained=sum(isinstance(row.outcome, Abstention) for row in rows),
        invalid_draws=sum(phase.get(INVALID, 0) for phase in counts),
        draws=sum(sum(phase.values()) for phase in counts),
        certified_at=tuple(_certified_at(rows, radius) for radius in sorted(set(radii))) if is_certified else (),
        average_radius=math.fsum(correct_radii(rows)) / len(rows) if is_certified else None,
        false_claims=false_claims(len(rows), record.alpha),
        marks=tuple(_marks(record, len(rows))),
    )


def correct_radii(rows: Sequence[Row]) -> list[float]:
    """Return the certified radii of the images whose certificate names the right class, in increasing order."""
    return sorted(row.outcome.radius for row in rows if row.correct and isinstance(row.outcome, Certificate))


def false_claims(images: int, alpha: float) -> FalseClaims:
    """Return bounds on the false claims among ``images`` that each fail with probability at most ``alpha``.

    The expectation needs no independence. The probability does, which images of one run have: no two share a draw.
    """
    return FalseClaims(expected_at_most=images * alpha, any_at_most=-math.expm1(images * math.log1p(-alpha)))


def summary_json(summary: Summary) -> str:
    """Return ``summary`` as one line of JSON."""
    return canonical_json(asdict(summary))


def table(summaries: Sequence[Summary]) -> str:
    """Return one table a mode with a line a run, in Markdown that reads as plain text, then what to know of each run.

    Shares are rounded down to 0.1 %, radii to 4 decimals; bounds on false claims are rounded up. No best of several
    runs is shown: chosen on these images, its accuracy would claim too much.
    """
    certify = [summary for summary in summaries if summary.mode == "certify"]
    predict = [summary for summary in summaries if summary.mode == "predict"]
    blocks = [_certify_table(certify)] if certify else []
    blocks += [_predict_table(predict)] if predict else []
    notes = [note for summary in summaries for note in _notes(summary)] + _joint_notes(summaries)
    return "\n\n".join([*blocks, "\n".join(notes)])


def _certified_at(rows: Sequence[Row], radius: float) -> CertifiedAt:
    exact = Decimal(repr(radius))
    return CertifiedAt(radius=radius, images=sum(Decimal(reached) >= exact for reached in correct_radii(rows)))


def _marks(record: RunRecord, images: int) -> Iterator[str]:
    if images < record.data.images:
        yield f"incomplete: {images} of {record.data.images} images are finished, and only they are counted"
    if record.seed_given:
        yield "seed given: it was chosen by hand, so models could have been tuned on its draws"
    if record.parity_reduced:
        yield "parity reduced: the export gate compared fewer draws than its default"
    if record.data.quantised:
        yield "quantised data: the source holds floats; the certificates speak of their 8-bit roundings"
    yield from _backend_marks(record.backend, record.precision)


def _backend_marks(backend: BackendRecord, precision: str) -> Iterator[str]:
    if not backend.gated:
        yield f"not gated: no export gate measured {backend.name} in {backend.executed_precision}"
    if backend.executed_precision != precision:
        yield f"executed precision: {backend.executed_precision}, where the plan says {precision}"
    if backend.placement != "row_invariant":
        yield f"not row-invariant: certified image after image, in batches of {backend.batch} at fixed places"
    if backend.probed != "logits":
        yield f"rows checked by {backend.probed} only: the graph holds no logits to compare"
    if backend.probe_rows < _FULL_ROW_CHECK:
        yield f"row check reduced: {backend.probe_rows} rows, where {_FULL_ROW_CHECK} are the default"
    if backend.trusted:
        yield "trusted by hand: cached programs were loaded without this machine's tag (--trust-plan)"


def _certify_table(summaries: Sequence[Summary]) -> str:
    radii = sorted({point.radius for summary in summaries for point in summary.certified_at})
    header = [
        "run",
        "data",
        "sigma",
        "n",
        "images",
        *(f"r >= {radius:.10g}" for radius in radii),
        "avg radius",
        "abstained",
    ]
    return "\n".join(markdown_table([header, *(_certify_row(summary, radii) for summary in summaries)]))


def _certify_row(summary: Summary, radii: Sequence[float]) -> list[str]:
    certified = {point.radius: point.images for point in summary.certified_at}
    shares = [_share(certified.get(radius), summary.images) for radius in radii]
    average = _UNKNOWN if summary.average_radius is None else format_radius(summary.average_radius)
    return [*_identity(summary), *shares, average, _share(summary.abstained, summary.images)]


def _predict_table(summaries: Sequence[Summary]) -> str:
    rows = [
        [*_identity(summary), _share(summary.correct, summary.images), _share(summary.abstained, summary.images)]
        for summary in summaries
    ]
    header = ["run", "data", "sigma", "n", "images", "accuracy", "abstained"]
    return "\n".join(markdown_table([header, *rows]))


def _identity(summary: Summary) -> list[str]:
    return [summary.run, summary.data, f"{summary.sigma}", f"{summary.n_estimate}", f"{summary.images}"]


def _share(part: int | None, whole: int) -> str:
    """Return ``part`` of ``whole`` in per cent, rounded down in integers."""
    if part is None or not whole:
        return _UNKNOWN
    thousandths = part * 1000 // whole
    return f"{thousandths // 10}.{thousandths % 10} %"


def _notes(summary: Summary) -> Iterator[str]:
    claims = summary.false_claims
    what = "certificates" if summary.mode == "certify" else "predictions"
    yield (
        f"- {summary.run}: {summary.purifier} on {summary.backend} in {summary.executed_precision}; "
        f"alpha {summary.alpha} each, so among {summary.images} images at most {_up(claims.expected_at_most)} false "
        f"{what} are expected, and any at all with probability at most {_up(claims.any_at_most)}"
    )
    if summary.correct is None:
        yield f"- {summary.run}: no labels, so no accuracy"
    if summary.invalid_draws:
        yield f"- {summary.run}: {summary.invalid_draws} of {summary.draws} draws were invalid (a logit was not finite)"
    for mark in summary.marks:
        yield f"- {summary.run}: {mark}"


def _joint_notes(summaries: Sequence[Summary]) -> list[str]:
    if len(summaries) < 2:
        return []
    # Runs may share a seed, so nothing but the union bound holds across them.
    any_at_most = min(1.0, math.fsum(summary.false_claims.any_at_most for summary in summaries))
    return [
        f"- all runs: any false claim at all with probability at most {_up(any_at_most)}",
        "- all runs: whoever takes the best run at a radius selects on these images, and must say so",
    ]


def _up(value: float) -> str:
    """Return ``value`` with 3 decimals, rounded up."""
    return f"{math.ceil(value * 1000) / 1000:.3f}"
