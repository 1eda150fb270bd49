"""Counts as the ledger keeps them: class (as text) or "invalid" -> draws, zeros left out."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from purecert.engine.errors import InputError
from purecert.engine.procedures.drawing import top_class
from purecert.engine.procedures.spec import MAX_DRAWS
from purecert.engine.records.lines import INVALID, Line
from purecert.engine.records.run_record import RunRecord


def sparse_counts(counts: NDArray[np.int64]) -> dict[str, int]:
    """Return ``counts`` [classes + 1] (the last: invalid rows) in the ledger's form."""
    classes = len(counts) - 1
    return {str(i) if i < classes else INVALID: int(counts[i]) for i in np.flatnonzero(counts)}


def dense_counts(counts: Mapping[str, int], classes: int) -> NDArray[np.int64]:
    """Return the ledger's ``counts`` as an array [classes + 1]; the inverse of ``sparse_counts``.

    Raises:
        InputError: A key is not a class, or a count is not a number of draws.
    """
    dense = np.zeros(classes + 1, np.int64)
    columns = {str(i): i for i in range(classes)} | {INVALID: classes}
    for key, count in counts.items():
        if key not in columns or not 1 <= count <= MAX_DRAWS:
            raise InputError(
                f"expected counts in [1, {MAX_DRAWS}] of classes below {classes} or {INVALID!r}, found {key!r}: {count}"
            )
        dense[columns[key]] = count
    return dense


def draws_of(line: Line) -> int:
    """Return how many draws an image took, of both phases."""
    return sum(sum(phase.values()) for phase in line.counts)


def class_counted(record: RunRecord, line: Line) -> int | None:
    """Return the class that the draws of the last phase speak of; None where no valid draw named one."""
    return line.label if record.spec.against_label else top_class(dense_counts(line.counts[0], record.classes))
