"""Counts as programs give them, NumPy's included, as the plain integers that a run records."""

import operator
from typing import SupportsIndex

from purecert.engine.errors import InputError


def whole(name: str, value: SupportsIndex) -> int:
    """Return ``value`` as an int.

    Raises:
        InputError: It is not an integer; 1e5 is none, 100_000 is.
    """
    try:
        return operator.index(value)
    except TypeError as error:
        raise InputError(f"expected {name} as an integer, got {value!r}") from error
