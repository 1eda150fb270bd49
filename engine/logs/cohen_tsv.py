"""Cohen's log of a run, ``idx label predict radius correct time`` separated by tabs: written for the tools that plot
it, and read with the variations that published logs have.
"""

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from purecert.engine.errors import InputError
from purecert.engine.files.canonical import write_atomically
from purecert.engine.procedures.outcomes import Abstention, Certificate
from purecert.engine.records.lines import Line
from purecert.engine.records.run import Run
from purecert.engine.records.run_directory import LOG_FILE, TIMINGS_FILE
from purecert.engine.reports.text import format_radius

COHEN_FILE = LOG_FILE
_ABSTAINED = -1  # Cohen's mark of an abstention, whose radius is 0.0

_LONGEST_SECONDS = 1e9  # of an image: more is no time
_LARGEST_RADIUS = 1e6  # also of images in [0, 255]; far beyond, sums over a log are no longer finite
_CERTIFY_COLUMNS = ("idx", "label", "predict", "radius", "correct", "time")
_PREDICT_COLUMNS = ("idx", "label", "predict", "correct", "time")
_UNNAMED_COLUMNS = {5: ("label", "predict", "radius", "correct", "time"), 6: _CERTIFY_COLUMNS}  # rRCM writes five
# What certificates are judged by may be missing, and predictions are nothing else.
_REQUIRED_WITHOUT_RADII = frozenset({"label", "correct"})
# A radius of another norm can be checked where the bound that it comes from stands beside it.
_RADII_OF_BOUNDS = ("l2_radius", "linf_radius")
_CORRECT = {"0": False, "1": True, "False": False, "True": True}
# PyTorch's text of one number.
_TENSOR = re.compile(r"tensor\(\[?([^][(),\s]+)\]?(?:, *(?:device|dtype)=[^(),\t]*)*\)")
_CLOCK = re.compile(r"(?:(?P<days>\d+) days?, )?(?P<hours>\d+):(?P<minutes>\d\d):(?P<seconds>\d\d(?:\.\d*)?)")


@dataclass(frozen=True, kw_only=True, slots=True)
class CohenRow:
    """One line of a log."""

    index: int  # as written, else the line's number from 0
    label: int | None  # None where the log has none
    predicted: int | None  # None where it abstained
    radius: float | None  # in [0, 1] pixel units, as printed; None in a log of predictions
    printed: str | None  # the text of that radius: how it was rounded shows in it
    correct: bool | None  # None where the log has neither this nor labels
    seconds: float | None  # None where the log has no time
    count: int | None = None  # successes among the draws that estimate, where the log has them beside the exact radius
    p_lower: float | None = None  # bound that the radius comes from, in [0, 1], where the log has it


@dataclass(frozen=True, kw_only=True, slots=True)
class CohenLog:
    """A log as read."""

    rows: tuple[CohenRow, ...]
    cut_short: bool  # the last line broke off, and is left out


def write_cohen_tsv(run: Run) -> Path:
    """Write ``cohen.tsv`` into the directory of ``run`` and return its path; the ledger stays the truth.

    The format cannot say that a run stopped early. Of such a run a radius is sound, but says where the draws stopped:
    what is not certified out to a radius that was not listed may well reach it.

    Raises:
        InputError: An image has no label, for which the format has no place.
    """
    path = run.directory / COHEN_FILE
    text = format_cohen_tsv(
        run.lines, _read_timings(run.directory / TIMINGS_FILE), radii=run.record.spec.mode == "certify"
    )
    write_atomically(path, text.encode())
    return path


def format_cohen_tsv(rows: Sequence[Line], seconds: Mapping[int, float], *, radii: bool = True) -> str:
    """Return the log of ``rows``, radii rounded down to 4 decimals; a predict run's has no radii.

    Args:
        rows: What the run ended in, in order.
        seconds: Image index -> time it took; an image without one gets an empty field.
        radii: Whether the log is one of certificates.

    Raises:
        InputError: An image has no label.
    """
    header = _CERTIFY_COLUMNS if radii else _PREDICT_COLUMNS
    lines = [header, *(_fields(row, seconds.get(row.index), radii) for row in rows)]
    return "".join("\t".join(line) + "\n" for line in lines)


def read_cohen_tsv(path: Path) -> CohenLog:
    """Return the log in ``path``; see ``parse_cohen_tsv``.

    Raises:
        InputError: There is no such file, or a line is not one of a log; the message gives its number.
    """
    if not path.is_file():
        raise InputError(f"{path}: expected a log in Cohen's format, found no file; is the path right?")
    try:
        return parse_cohen_tsv(path.read_text("utf-8-sig"), str(path))
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: expected a log in Cohen's format, found no text; is the path right?") from error


def parse_cohen_tsv(text: str, where: str) -> CohenLog:
    """Return the log in ``text``.

    Read are: a header or none, ``idx`` or none, further columns, times as h:mm:ss.ffffff or as seconds, 0 and 1 or
    False and True, tensor([7]) for 7, tabs padded with spaces or spaces alone, no line at all, and a last line that
    broke off. Labels or ``correct`` may be missing. ``exact_radius`` is the radius where ``count`` stands beside it,
    and ``l2_radius`` or ``linf_radius`` where ``prob_lb`` does.

    Raises:
        InputError: A line is not one of a log; the message begins with ``where`` and the line's number.
    """
    lines = [(number, _split(line)) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    if not lines:
        return CohenLog(rows=(), cut_short=False)
    columns, lines = _columns(lines, where)
    cut_short = bool(lines) and not text.endswith("\n") and _is_broken_off(lines[-1][1], columns)
    whole = lines[:-1] if cut_short else lines
    rows = [
        _row(_named(columns, fields, f"{where}:{number}"), position, f"{where}:{number}")
        for position, (number, fields) in enumerate(whole)
    ]
    return CohenLog(rows=tuple(rows), cut_short=cut_short)


def _is_broken_off(fields: Sequence[str], columns: Sequence[str]) -> bool:
    """Return whether a last line without its newline lacks more than that: a column, or the end of the time."""
    if len(fields) < len(columns):
        return True
    try:
        _seconds(_named(tuple(columns), list(fields), "").get("time", ""), "")
    except InputError:
        return True
    return False


def _fields(row: Line, seconds: float | None, radii: bool) -> tuple[str, ...]:
    if row.label is None:
        raise InputError(f"image {row.index}: expected a label, since Cohen's format needs one; leave the log out")
    predicted = _ABSTAINED if isinstance(row.outcome, Abstention) else row.outcome.predicted
    radius = format_radius(row.outcome.radius) if isinstance(row.outcome, Certificate) else "0.0"
    radius_field = (radius,) if radii else ()
    return (str(row.index), str(row.label), str(predicted), *radius_field, str(int(row.correct)), _clock(seconds))


def _clock(seconds: float | None) -> str:
    if seconds is None:
        return ""
    microseconds = round(seconds * 1e6)
    minutes, microseconds = divmod(microseconds, 60_000_000)
    return f"{minutes // 60}:{minutes % 60:02}:{microseconds // 1_000_000:02}.{microseconds % 1_000_000:06}"


def _read_timings(path: Path) -> dict[int, float]:
    """Return image index -> seconds. Timings fix nothing and are not synced, so a line that a crash tore is no time."""
    seconds: dict[int, float] = {}
    for line in path.read_text("ascii", "replace").splitlines() if path.is_file() else ():
        try:
            timing = json.loads(line)
            index, taken = int(timing["index"]), float(timing["seconds"])
        except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
            continue
        if 0 <= taken <= _LONGEST_SECONDS:
            seconds[index] = taken
    return seconds


def _split(line: str) -> list[str]:
    line = _TENSOR.sub(r"\1", line.rstrip("\n"))
    fields = line.split("\t") if "\t" in line else line.split()
    return [field.strip() for field in fields]


def _columns(lines: list[tuple[int, list[str]]], where: str) -> tuple[tuple[str, ...], list[tuple[int, list[str]]]]:
    number, first = lines[0]
    if "predict" in first:
        columns = _with_radius(first)
        if "radius" not in columns and (missing := sorted(_REQUIRED_WITHOUT_RADII - set(columns))):
            _refuse(f"{where}:{number}", "a header with idx, label, predict, radius, correct, time", f"no {missing[0]}")
        return columns, lines[1:]
    if len(first) not in _UNNAMED_COLUMNS:
        expected = "a header, or lines of 5 or 6 columns (idx, label, predict, radius, correct, time)"
        _refuse(f"{where}:{number}", expected, f"{len(first)} columns")
    return _UNNAMED_COLUMNS[len(first)], lines


def _with_radius(columns: Sequence[str]) -> tuple[str, ...]:
    """Return the columns with the one that holds radii named ``radius``, and its counts ``successes``."""
    if "radius" in columns:
        return tuple(columns)
    names = {}
    if {"count", "exact_radius"} <= set(columns):
        names = {"count": "successes", "exact_radius": "radius"}
    elif "prob_lb" in columns:
        names = dict.fromkeys(_RADII_OF_BOUNDS, "radius")
    return tuple(names.get(column, column) for column in columns)


def _named(columns: tuple[str, ...], fields: list[str], where: str) -> dict[str, str]:
    if len(fields) < len(columns):
        _refuse(where, f"{len(columns)} columns", str(len(fields)))
    return dict(zip(columns, fields, strict=False))  # what follows the last column is padding


def _row(fields: Mapping[str, str], position: int, where: str) -> CohenRow:
    predicted = _integer(fields, "predict", where)
    if predicted < _ABSTAINED:
        _refuse(where, "a class or -1 under predict", str(predicted))
    label = _integer(fields, "label", where) if "label" in fields else None
    p_lower = _probability(fields["prob_lb"], where) if "prob_lb" in fields else None
    abstains = predicted == _ABSTAINED
    # Where a bound below one half stands beside it, an abstention has the negative radius that follows.
    is_negative = abstains and p_lower is not None and p_lower < 0.5 and fields.get("radius", "").startswith("-")
    radius = "0.0" if is_negative else fields.get("radius")
    return CohenRow(
        index=_integer(fields, "idx", where) if "idx" in fields else position,
        label=label,
        predicted=None if abstains else predicted,
        radius=None if radius is None else _radius(radius, where),
        printed=radius,
        correct=_is_correct(fields, label, predicted, where),
        seconds=_seconds(fields.get("time", ""), where),
        count=_integer(fields, "successes", where) if "successes" in fields else None,
        p_lower=p_lower,
    )


def _is_correct(fields: Mapping[str, str], label: int | None, predicted: int, where: str) -> bool | None:
    if "correct" in fields:
        return _correct(fields["correct"], where)
    return None if label is None else label == predicted


def _probability(text: str, where: str) -> float:
    p_lower = _number(text)
    if p_lower is None or not 0 <= p_lower <= 1:
        _refuse(where, "a probability under prob_lb", repr(text))
    return p_lower


def _integer(fields: Mapping[str, str], column: str, where: str) -> int:
    text = fields.get(column, "")
    if not re.fullmatch(r"-?[0-9]{1,18}", text):
        _refuse(where, f"an integer under {column}", repr(text))
    return int(text)


def _correct(text: str, where: str) -> bool:
    if text not in _CORRECT:
        _refuse(where, "0, 1, False or True under correct", repr(text))
    return _CORRECT[text]


def _radius(text: str, where: str) -> float:
    radius = _number(text)
    if radius is None or not 0 <= radius <= _LARGEST_RADIUS:
        _refuse(where, f"a radius in [0, {_LARGEST_RADIUS:g}]", repr(text))
    return radius


def _seconds(text: str, where: str) -> float | None:
    if not text:
        return None
    if clock := _CLOCK.fullmatch(text):
        days, hours, minutes = (int(clock[unit] or 0) for unit in ("days", "hours", "minutes"))
        return ((days * 24 + hours) * 60 + minutes) * 60 + float(clock["seconds"])
    if (seconds := _number(text)) is None or seconds < 0:
        _refuse(where, "a time as h:mm:ss.ffffff or in seconds", repr(text))
    return seconds


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _refuse(where: str, expected: str, came: str) -> NoReturn:
    raise InputError(f"{where}: expected {expected}, found {came}; is it a log in Cohen's format?")
