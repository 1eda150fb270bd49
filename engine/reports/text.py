"""Numbers as a reader sees them, each rounded to the safe side."""

import math

UNKNOWN = "-"  # of a table's cell
_NOT_SETTLED = "*"  # behind a share that may be too small, because the draws stopped for another radius or alpha
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
