"""Numbers as a reader sees them, each rounded to the safe side."""

import math

UNKNOWN = "-"  # of a table's cell
NOT_SETTLED = "*"  # behind a share that may be too small, because the draws stopped for another radius or alpha


def share(part: int | None, whole: int) -> str:
    """Return ``part`` of ``whole`` in per cent, rounded down in integers."""
    if part is None or not whole:
        return UNKNOWN
    thousandths = part * 1000 // whole
    return f"{thousandths // 10}.{thousandths % 10} %"


def rounded_up(value: float) -> str:
    """Return ``value`` with 3 decimals, rounded up."""
    return f"{math.ceil(value * 1000) / 1000:.3f}"


def spread(number: float) -> str:
    """Return ``number`` of draws or looks in a few digits, rounded up."""
    return f"{math.ceil(number * 10) / 10:,.1f}"
