"""A run's shares class by class, with the classes' names where its plan has them. Every share is rounded down."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from purecert.engine.errors import InputError, printable
from purecert.engine.files.canonical import canonical_json
from purecert.engine.procedures.outcomes import Abstention
from purecert.engine.records.class_names import ClassNames, class_names_of
from purecert.engine.records.lines import Line
from purecert.engine.records.run import Run
from purecert.engine.reports.summary import certified_images, check_radii, is_settled
from purecert.engine.reports.text import UNKNOWN, markdown_table, marked_share, radius_text, share

_SELECTED = (
    "by class: few images each, so shares differ by chance; to report the best or worst class is to select on these "
    "images"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class ClassShare:
    """What became of the images of one class."""

    label: int
    name: str | None
    images: int
    correct: int  # committed to the label
    abstained: int
    certified_at: tuple[int, ...]  # images certified to be of the label out to each radius; empty in a prediction run
    taken_for: int | None  # the wrong class that most of them were committed to, the lowest of several; None for none
    taken_for_name: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class ByClass:
    """One run by class."""

    run: str
    radii: tuple[float, ...]  # of certified_at
    classes: tuple[ClassShare, ...]  # those of at least one image
    names_unknown: str  # why the classes have no names; empty where they do


def by_class(run: Run, radii: Sequence[float]) -> ByClass:
    """Return the shares of ``run`` by class.

    Args:
        run: A run of labelled images.
        radii: L2 radii in pixel units of [0, 1], in which the run's certificates are counted.

    Raises:
        InputError: The run has no labels, or a radius is negative or not a number.
    """
    check_radii(radii)
    if not run.lines or any(line.label is None for line in run.lines):
        raise InputError(f"{run.directory}: --by-class: expected a run of labelled images, found one without labels")
    asked = tuple(sorted(set(radii))) if run.record.spec.mode == "certify" else ()
    names = class_names_of(run)
    labels = sorted({line.label for line in run.lines if line.label is not None})
    rows = {label: [line for line in run.lines if line.label == label] for label in labels}
    return ByClass(
        run=printable(run.directory.resolve().name),
        radii=asked,
        classes=tuple(_share(label, lines, asked, names) for label, lines in rows.items()),
        names_unknown=names.unknown,
    )


def _share(label: int, lines: Sequence[Line], radii: Sequence[float], names: ClassNames) -> ClassShare:
    wrong = Counter(
        line.outcome.predicted
        for line in lines
        if not isinstance(line.outcome, Abstention) and line.outcome.predicted != label
    )
    taken_for = min(wrong, key=lambda each: (-wrong[each], each)) if wrong else None
    return ClassShare(
        label=label,
        name=_name(label, names),
        images=len(lines),
        correct=sum(line.correct for line in lines),
        abstained=sum(isinstance(line.outcome, Abstention) for line in lines),
        certified_at=tuple(certified_images(lines, radius) for radius in radii),
        taken_for=taken_for,
        taken_for_name=None if taken_for is None else _name(taken_for, names),
    )


def _name(place: int, names: ClassNames) -> str | None:
    """Return a class's name; labels beyond the plan's classes, which data may have, have none."""
    return names.names[place] if place < len(names.names) else None


def by_class_text(run: Run, found: ByClass) -> str:
    """Return a table with a line a class, and what to know of it."""
    heading = ["class", "taken for", "images"]
    heading += [*(f"r >= {radius_text(radius)}" for radius in found.radii)] if found.radii else ["accuracy"]
    rows = [[*heading, "abstained"]]
    settled = [is_settled(run.record, radius, run.record) for radius in found.radii]
    for one in found.classes:
        counts = [
            marked_share(part, one.images, is_settled=is_known)
            for part, is_known in zip(one.certified_at, settled, strict=True)
        ] or [share(one.correct, one.images)]
        taken_for = UNKNOWN if one.taken_for is None else _called(one.taken_for, one.taken_for_name)
        rows.append(
            [_called(one.label, one.name), taken_for, f"{one.images}", *counts, share(one.abstained, one.images)]
        )
    notes = [_SELECTED] + ([f"numbers alone: {printable(found.names_unknown)}"] if found.names_unknown else [])
    return "\n".join([*markdown_table(rows), "", *(f"- {found.run}: {note}" for note in notes)])


def _called(place: int, name: str | None) -> str:
    return f"{place}" if name is None else f"{place} {printable(name)}"


def by_class_json(found: ByClass) -> str:
    """Return ``found`` as one line of JSON."""
    return canonical_json({"by_class": asdict(found)})
