"""The best of several runs at each radius: what it claims on the images that chose it, and on images that did not."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

from purecert.engine.errors import InputError, printable
from purecert.engine.files.canonical import canonical_json
from purecert.engine.records.run import Run
from purecert.engine.reports.summary import certified_images, is_settled
from purecert.engine.reports.text import NOT_SETTLED_NOTE, markdown_table, marked_share, radius_text
from purecert.engine.statistics.false_claims import DEFAULT_RHO, false_claims


@dataclass(frozen=True, kw_only=True, slots=True)
class Chosen:
    """A run that was chosen at a radius, and what it certifies there on some images."""

    radius: float  # [0, 1] pixel units
    sigma: float
    run: str
    images: int  # certified to be right
    images_at_least: int  # after subtracting the most that could be false, at confidence 1 - rho
    is_settled: bool  # False where the run may have stopped before this radius was certified or given up


@dataclass(frozen=True, kw_only=True, slots=True)
class BestSigma:
    """The best run at each radius, twice."""

    runs: int
    images: int
    on_test_set: tuple[Chosen, ...]  # chosen and reported on all images: too good for images to come
    held_out: tuple[Chosen, ...]  # chosen on the 1st, 3rd, 5th ... image of the runs, reported on the others
    images_held_out: int
    rho: float


def best_sigma(runs: Sequence[Run], radii: Sequence[float], rho: float = DEFAULT_RHO) -> BestSigma:
    """Return the best of ``runs`` at each of ``radii``; of equals the first run.

    Held out, the choice depends on other images and so on other draws: the false claims among those reported are as
    many as in any one run. On the same images the choice may favour false claims, so ``rho`` is shared by the runs
    (the union bound, since they may share draws).

    Raises:
        InputError: The runs are not of the same labelled images, or one only predicts.
    """
    _check(runs)
    first, others = [_part(run, 0) for run in runs], [_part(run, 1) for run in runs]
    ordered = sorted(set(radii))
    best = [(radius, _best(runs, radius)) for radius in ordered]
    return BestSigma(
        runs=len(runs),
        images=len(runs[0].lines),
        on_test_set=tuple(
            _chosen(runs[i], radius, max(_false(run, rho / len(runs)) for run in runs)) for radius, i in best
        ),
        held_out=tuple(
            _chosen(others[i], radius, _false(others[i], rho))
            for radius, i in ((radius, _best(first, radius)) for radius in ordered)
        ),
        images_held_out=len(others[0].lines),
        rho=rho,
    )


def best_sigma_text(best: BestSigma) -> str:
    """Return the table of ``best`` and what it means."""
    radii = [f"r >= {radius_text(chosen.radius)}" for chosen in best.on_test_set]
    rows = [["best sigma per radius", "what", "images", *radii]]
    rows += _lines("selected on the test set", best.on_test_set, best.images)
    rows += _lines("chosen on the other half", best.held_out, best.images_held_out)
    notes = [
        f"- selected on the test set: the best of {best.runs} runs at each radius on the images that it is reported "
        "on; too good for images to come, and not to be compared with a single run",
        "- chosen on the other half: the sigma is chosen on the 1st, 3rd, 5th ... image, its share is of the others; "
        "unbiased for images to come",
        "- at least: the share after subtracting the most certificates that could be false (confidence "
        f"{100 * (1 - best.rho):.10g} % at each radius); on the same images the runs share that risk (union bound: "
        "they may share draws)",
    ]
    if not all(chosen.is_settled for chosen in (*best.on_test_set, *best.held_out)):
        notes.append(f"- {NOT_SETTLED_NOTE}")
    return "\n".join([*markdown_table(rows), "", *notes])


def best_sigma_json(best: BestSigma) -> str:
    """Return ``best`` as one line of JSON."""
    return canonical_json({"best_sigma": asdict(best)})


def _check(runs: Sequence[Run]) -> None:
    images = [[(line.index, line.label) for line in run.lines] for run in runs]
    is_same = all(run.record.data.fingerprint == runs[0].record.data.fingerprint for run in runs)
    if any(run.record.spec.mode != "certify" for run in runs) or any(label is None for _, label in images[0]):
        raise InputError("--best-sigma: expected certification runs of labelled images; leave the others out")
    if not is_same or any(other != images[0] for other in images) or len(images[0]) < 2:
        raise InputError("--best-sigma: expected runs of the same two or more images, all finished; finish them")


def _part(run: Run, remainder: int) -> Run:
    """Return the run of every second image: by place in the run, for a slice may hold even indices only."""
    return replace(run, lines=run.lines[remainder::2])


def _best(runs: Sequence[Run], radius: float) -> int:
    certified = [certified_images(run.lines, radius) for run in runs]
    return certified.index(max(certified))


def _false(run: Run, rho: float) -> int:
    return false_claims(len(run.lines), run.record.spec.alpha, rho).number_at_most


def _chosen(run: Run, radius: float, false: int) -> Chosen:
    images = certified_images(run.lines, radius)
    return Chosen(
        radius=radius,
        sigma=run.record.spec.sigma,
        run=printable(run.directory.resolve().name),
        images=images,
        images_at_least=max(0, images - false),
        is_settled=is_settled(run.record, radius, run.record),
    )


def _lines(name: str, chosen: Sequence[Chosen], images: int) -> list[list[str]]:
    return [
        [
            name,
            "certified",
            f"{images}",
            *(marked_share(one.images, images, is_settled=one.is_settled) for one in chosen),
        ],
        [
            "",
            "at least",
            f"{images}",
            *(marked_share(one.images_at_least, images, is_settled=one.is_settled) for one in chosen),
        ],
        ["", "sigma", "", *(f"{one.sigma}" for one in chosen)],
    ]
