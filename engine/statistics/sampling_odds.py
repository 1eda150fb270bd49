"""How likely a check of some rows, chosen at random, misses others that are wrong."""

import math

_SLACK = 1e-9  # a product of factors, each of which is right to 1e-16; more is added


def escape_probability(rows: int, wrong: int, checked: int) -> float:
    """Return the probability, rounded up, that ``checked`` of ``rows`` rows hold none of ``wrong`` wrong ones.

    Hypergeometric: C(rows - wrong, checked) / C(rows, checked), where every choice of rows is equally likely.

    Args:
        rows: Of the run.
        wrong: Rows that would be found if they were looked at, in [0, rows].
        checked: Rows that are looked at, in [0, rows].

    Raises:
        ValueError: A number is outside its range.
    """
    if not (0 <= wrong <= rows and 0 <= checked <= rows):
        raise ValueError(f"expected wrong and checked in [0, {rows}], got {wrong} and {checked}")
    if wrong + checked > rows:
        return 0.0
    few, many = sorted((wrong, checked))
    log_probability = math.fsum(math.log1p(-many / (rows - i)) for i in range(few))
    return min(1.0, math.exp(log_probability) * (1 + _SLACK))
