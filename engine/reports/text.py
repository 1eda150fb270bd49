"""Numbers as a reader sees them, each rounded to the safe side."""

import math
import re
from collections.abc import Sequence
from decimal import ROUND_FLOOR, Context, Decimal

UNKNOWN = "-"  # of a table's cell
_NOT_SETTLED = "*"  # after a share that may be too small, because the draws stopped for another radius or alpha
# Room for the digits of any double, whatever precision the caller's decimal context has.
_ALL_DIGITS = Context(prec=2000)
_TEXT_COLUMNS = 2
_BEFORE_BAR = re.compile(r"(\\*)\|")  # in a cell, with what would escape an escape
NOT_SETTLED_NOTE = (
    f"{_NOT_SETTLED}: not what the run stops at, so images may well reach this radius that had stopped before"
)


def share(part: int | None, whole: int) -> str:
    """Return ``part`` of ``whole`` in per cent, rounded down in integers."""
    if part is None or not whole:
        return UNKNOWN
    thousandths = part * 1000 // whole
    return f"{thousandths // 10}.{thousandths % 10} %"


def marked_share(part: int | None, whole: int, *, is_settled: bool) -> str:
    """Return ``share``, marked where the run may have stopped before that was known."""
    return share(part, whole) + ("" if is_settled else _NOT_SETTLED)


def rounded_up(value: float) -> str:
    """Return ``value`` with 3 decimals, rounded up."""
    return f"{math.ceil(value * 1000) / 1000:.3f}"


def spread(number: float) -> str:
    """Return ``number`` of draws or looks in a few digits, rounded up."""
    return f"{math.ceil(number * 10) / 10:,.1f}"


def format_radius(radius: float, decimals: int = 4) -> str:
    """Return ``radius`` with ``decimals`` digits after the point, rounded down: print never claims more than proof."""
    last_digit = Decimal((0, (1,), -decimals))
    return f"{Decimal(radius).quantize(last_digit, rounding=ROUND_FLOOR, context=_ALL_DIGITS):f}"


def reaches(radius: float, asked: float) -> bool:
    """Return whether ``radius`` is at least ``asked`` as it is written (the double nearest to 0.3 lies below 0.3)."""
    return Decimal(radius) >= Decimal(repr(asked))


def radius_text(radius: float) -> str:
    """Return a radius that was asked for with all its digits: a rounded one would say more than is certified."""
    return repr(float(radius)).removesuffix(".0")


def markdown_table(rows: Sequence[Sequence[str]], text_columns: int = _TEXT_COLUMNS) -> list[str]:
    """Return the lines of a table whose first row is the heading, with columns of one width.

    The first ``text_columns`` columns are to the left, the others, of numbers, to the right.
    """
    cells = [[_BEFORE_BAR.sub(r"\1\1\\|", cell) for cell in row] for row in rows]
    widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]))]
    rule = ["-" * width if column < text_columns else f"{'-' * (width - 1)}:" for column, width in enumerate(widths)]
    return [f"| {' | '.join(_padded(row, widths, text_columns))} |" for row in [cells[0], rule, *cells[1:]]]


def _padded(row: Sequence[str], widths: Sequence[int], text_columns: int) -> list[str]:
    return [
        cell.ljust(width) if column < text_columns else cell.rjust(width)
        for column, (cell, width) in enumerate(zip(row, widths, strict=True))
    ]
