"""Do a run's lines follow from their counts? Their checksums have no key, so whoever changes a line can mend them.

Every reader of a run asks this before it says anything of it. What is claimed is recomputed here, and where the last
digits differ, as between versions of SciPy, the smaller claim is taken.
"""

import reprlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from purecert.engine.errors import InputError
from purecert.engine.procedures.conclusions import Ended, Votes, conclude_all
from purecert.engine.procedures.outcomes import Certificate, Outcome, Prediction, stops_of
from purecert.engine.records.lines import Line, column_of
from purecert.engine.records.run_record import RunRecord
from purecert.engine.statistics.bounds import certified_radius

_LARGEST_INDEX = 2**32 - 1  # a draw is addressed by 32 bits of its image (kernels/README.md)
# SciPy's versions differ by less: in a bound, absolute; in a p-value, relative (engine/statistics/anytime.py).
_ROOM = 1e-11
_P_VALUE_ROOM = 1e-6


def checked_lines(record: RunRecord, lines: Sequence[Line]) -> tuple[Line, ...]:
    """Return ``lines`` with what their counts prove, which is what they claim or less by its last digits.

    Raises:
        InputError: The lines are not those of one run of ``record``, or a claim does not follow from its counts; the
            message names the first.
    """
    concluded = _concluded(record, lines)
    for problem in _problems(record, lines, concluded):
        raise InputError(problem)
    return tuple(_smaller(line, outcome) for line, outcome in zip(lines, concluded, strict=True))


def line_problems(record: RunRecord, lines: Sequence[Line]) -> Iterator[str]:
    """Return in one line each what is wrong of ``lines``, by their own counts and ``record``: nothing if all holds."""
    return _problems(record, lines, _concluded(record, lines))


def _problems(record: RunRecord, lines: Sequence[Line], concluded: Sequence[Outcome | str]) -> Iterator[str]:
    yield from _run_problems(record, lines)
    for line, outcome in zip(lines, concluded, strict=True):
        if problem := _claim_problem(record, line, outcome):
            yield problem


def _run_problems(record: RunRecord, lines: Sequence[Line]) -> Iterator[str]:
    if len(lines) > record.data.images:
        yield f"expected at most the {record.data.images} images that the run set out for, found {len(lines)} lines"
    seen: set[int] = set()
    for line in lines:
        if line.index in seen:
            yield f"image {reprlib.repr(line.index)}: expected one line an image, found a second one"
        seen.add(line.index)
    labelled = sum(line.label is not None for line in lines)
    if 0 < labelled < len(lines):
        yield f"expected a label in every line or in none, found {labelled} labels in {len(lines)} lines"
    for line in lines:
        image = f"image {reprlib.repr(line.index)}: expected"
        if not 0 <= line.index <= _LARGEST_INDEX:
            yield f"{image} an index in [0, {_LARGEST_INDEX}]"
        if line.label is not None and not 0 <= line.label < record.classes:
            yield f"{image} a label below {record.classes}, found {reprlib.repr(line.label)}"
        if line.label is None and record.spec.against_label:
            yield f"{image} the label that its class was given by, found none"


def _concluded(record: RunRecord, lines: Sequence[Line]) -> list[Outcome | str]:
    """Return what each line's counts amount to, or what is wrong of them."""
    read = [_ended(line, record.classes) for line in lines]
    ended = {place: one for place, one in enumerate(read) if isinstance(one, Ended)}
    concluded = dict(zip(ended, conclude_all(record.spec, record.tv, list(ended.values())), strict=True))
    return [one if isinstance(one, str) else concluded[place] for place, one in enumerate(read)]


def _ended(line: Line, classes: int) -> Ended | str:
    try:
        phases = [_votes(counts, classes) for counts in line.counts]
    except InputError as error:
        return str(error)
    return Ended(phases=phases, classes=classes, label=line.label, looks=line.looks, stops=stops_of(line.outcome))


def _votes(counts: Mapping[str, int], classes: int) -> Votes:
    columns = {column_of(key, count, classes): count for key, count in counts.items()}
    return Votes(columns, columns.pop(classes, 0))


def _claim_problem(record: RunRecord, line: Line, outcome: Outcome | str) -> str | None:
    if isinstance(outcome, str):
        return f"image {reprlib.repr(line.index)}: {outcome}"
    if line.outcome == outcome or _agrees(record.spec.sigma, line.outcome, outcome):
        return None
    return f"image {reprlib.repr(line.index)}: its counts give {outcome}, the line says {line.outcome}"


def _agrees(sigma: float, claimed: Outcome, proven: Outcome) -> bool:
    """Return whether both say the same up to the last digits."""
    match claimed, proven:
        case Certificate(), Certificate(p_lower=p):
            lowest, highest = certified_radius(sigma, [max(p - _ROOM, 0.0), min(p + _ROOM, 1 - _ROOM)]).tolist()
            is_near = abs(claimed.radius - proven.radius) <= highest - lowest + _ROOM * proven.radius
            is_same = (claimed.predicted, claimed.stops) == (proven.predicted, proven.stops)
            return is_same and abs(claimed.p_lower - p) <= _ROOM and is_near
        case Prediction(), Prediction(p_value=p):
            return claimed.predicted == proven.predicted and abs(claimed.p_value - p) <= _P_VALUE_ROOM * p
    return claimed == proven


def _smaller(line: Line, proven: Outcome | str) -> Line:
    if line.outcome == proven:
        return line
    match line.outcome, proven:
        case Certificate() as claimed, Certificate():
            p_lower, radius = min(claimed.p_lower, proven.p_lower), min(claimed.radius, proven.radius)
            return replace(line, outcome=replace(claimed, p_lower=p_lower, radius=radius))
        case Prediction() as claimed, Prediction():
            return replace(line, outcome=replace(claimed, p_value=max(claimed.p_value, proven.p_value)))
    raise AssertionError("expected outcomes that agree")
