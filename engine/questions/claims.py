"""What a question's counts prove of each image: bounds that hold together with probability 1 - alpha, and a radius.

The class that is spoken of, and its rivals, are known before the draws that bound them: from the first phase, from the
label, from the costs. No rival is left out, or given a larger part of alpha, because of how many draws it had.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from purecert.engine.procedures.conclusions import Votes
from purecert.engine.questions.question import Question
from purecert.engine.records.lines import INVALID, Line
from purecert.engine.records.run_record import RunRecord
from purecert.engine.statistics.bounds import Floats, certified_radius
from purecert.engine.statistics.rivals import complement, probability_lower, probability_upper, top_k_radius

Counts = Mapping[str, int]


@dataclass(frozen=True, kw_only=True, slots=True)
class Claim:
    """What the draws prove of one image. A radius of 0 claims nothing."""

    index: int  # of the image, in the dataset
    label: int | None
    spoken_of: int | None  # the class; None where no draw of the first phase was valid
    is_asked: bool  # False: no mistake costs anything for its label
    is_right: bool  # the class is the label; of costs, one that costs nothing; where there is no label, True
    p_lower: float  # of the class
    p_rival: float | None  # the k-th likeliest rival is at most so likely; None where rivals are not bounded one by one
    p_right: float  # lower bound on the label's probability by itself; of costs, p_lower of a right class
    radius: float  # L2, [0, 1] pixel units

    @property
    def right_radius(self) -> float:
        """Return the radius out to which what is right is kept; 0 where nothing is."""
        return self.radius if self.is_right else 0.0


@dataclass(frozen=True, slots=True)
class _Image:
    line: Line
    counts: Counts  # of the second phase: class (as text) or "invalid" -> draws
    spoken_of: int | None
    costly: frozenset[int] | None  # the rivals, where the question has costs; else all other classes are


def claims_of(record: RunRecord, question: Question, lines: Sequence[Line], counts: Sequence[Counts]) -> list[Claim]:
    """Return what ``counts`` prove of the image of each of ``lines``, in their order.

    Args:
        record: Of the run, at the alpha and the draws that are asked for.
        question: Which kind of certificate.
        lines: As the run has them.
        counts: Of each line's second phase, as many draws as ``record`` says.
    """
    images = [_image(record, question, line, own) for line, own in zip(lines, counts, strict=True)]
    p_lower, p_rival, radius = np.zeros(len(images)), np.ones(len(images)), np.zeros(len(images))
    for rivals, places in _by_rivals(record, images).items():
        found = _bounded(record, question, [images[place] for place in places], rivals)
        p_lower[places], p_rival[places], radius[places] = found
    p_right = p_lower if question.costs else _of_labels(record, question, images, p_lower)
    has_rivals = question.kind != "certificates"
    return [
        _claim(record, image, p, rival if has_rivals else None, right, r)
        for image, p, rival, right, r in zip(
            images, p_lower.tolist(), p_rival.tolist(), p_right.tolist(), radius.tolist(), strict=True
        )
    ]


def _image(record: RunRecord, question: Question, line: Line, counts: Counts) -> _Image:
    costly = None
    if question.costs is not None:
        assert line.label is not None
        costly = question.costs.costly[line.label]
    return _Image(line, counts, _spoken_of(record, question, line), costly)


def _spoken_of(record: RunRecord, question: Question, line: Line) -> int | None:
    if record.spec.against_label or (question.kind == "top-k" and line.label is not None):
        return line.label
    return Votes({int(name): count for name, count in line.counts[0].items() if name != INVALID}).top


def _by_rivals(record: RunRecord, images: Sequence[_Image]) -> dict[int, list[int]]:
    """Return the places of the images with a class to be spoken of, by how many rivals it has."""
    places: dict[int, list[int]] = {}
    for place, image in enumerate(images):
        rivals = record.classes - 1 if image.costly is None else len(image.costly)
        is_costly = image.costly is not None and image.spoken_of in image.costly
        if image.spoken_of is not None and rivals and not is_costly:
            places.setdefault(rivals, []).append(place)
    return places


def _bounded(
    record: RunRecord, question: Question, images: Sequence[_Image], rivals: int
) -> tuple[Floats, Floats, Floats]:
    """Return p_lower, p_rival and radius of images whose classes have as many rivals."""
    spec, tv = record.spec, record.tv
    own = np.array([image.counts.get(str(image.spoken_of), 0) for image in images], np.int64)
    p_lower = probability_lower(own, spec.n_estimate, _own_alpha(record, question), tv)
    if question.kind == "certificates":
        return p_lower, complement(p_lower), certified_radius(spec.sigma, p_lower)
    # The largest of all rivals' bounds are those of the largest counts, for each is at the same part of alpha.
    largest = np.array([_largest_rivals(image, question.top_k or 1) for image in images], np.int64)
    upper = probability_upper(largest, spec.n_estimate, spec.alpha / 2 / rivals, tv)
    return p_lower, np.minimum(upper[:, -1], complement(p_lower)), top_k_radius(spec.sigma, p_lower, upper)


def _largest_rivals(image: _Image, k: int) -> list[int]:
    """Return the ``k`` largest counts among the rivals; an invalid draw could have shown any of them."""
    invalid = image.counts.get(INVALID, 0)
    votes = {int(name): count for name, count in image.counts.items() if name != INVALID}
    counts = [count for label, count in votes.items() if label != image.spoken_of and _is_rival(image, label)]
    return [count + invalid for count in [*sorted(counts, reverse=True), *[0] * k][:k]]


def _is_rival(image: _Image, label: int) -> bool:
    return image.costly is None or label in image.costly


def _own_alpha(record: RunRecord, question: Question) -> float:
    return record.spec.alpha if question.kind == "certificates" else record.spec.alpha / 2


def _of_labels(record: RunRecord, question: Question, images: Sequence[_Image], p_lower: Floats) -> Floats:
    """Return the bound on each label's probability, known before any draw; without labels, of the class spoken of."""
    if any(image.line.label is None for image in images):
        return p_lower
    shown = np.array([image.counts.get(str(image.line.label), 0) for image in images], np.int64)
    return probability_lower(shown, record.spec.n_estimate, _own_alpha(record, question), record.tv)


def _claim(
    record: RunRecord, image: _Image, p_lower: float, p_rival: float | None, p_right: float, radius: float
) -> Claim:
    label, spoken_of, costly = image.line.label, image.spoken_of, image.costly
    is_right = label is None or spoken_of == label if costly is None else spoken_of not in costly
    return Claim(
        index=image.line.index,
        label=label,
        spoken_of=spoken_of,
        is_asked=costly is None or bool(costly),
        is_right=spoken_of is not None and is_right,
        p_lower=p_lower,
        p_rival=p_rival,
        p_right=p_right,
        radius=radius,
    )
