"""Graphs that mind more than a row's own pixels, in NumPy: what the row check must refuse, and what it must not."""

from collections.abc import Callable, Sequence
from typing import final

import numpy as np
from numpy.typing import NDArray

from purecert.engine.backends.graph import HostGraph

SHAPE = (1, 2, 3)
Logits = NDArray[np.float32]
Rows = NDArray[np.float32]
Rule = Callable[[Rows, Logits, int], Logits]  # rows [batch, ...], honest logits [batch, 2], batches so far
_WEIGHT = np.array([3, -2, 5, 1, -4, 2], np.float32)


def honest(rows: Rows) -> Logits:
    """Return the logits of a linear classifier, one row at a time so that no place can change a bit."""
    score = np.array([float(row.reshape(-1) @ _WEIGHT) for row in rows], np.float32)
    return np.stack([np.zeros_like(score), score - np.float32(300.5)], axis=1)


def _wins(logits: Logits, which: NDArray[np.bool_]) -> Logits:
    """Let class 0 win in the rows ``which``."""
    return np.where(which[:, None], np.array([[1e4, 0]], np.float32), logits)


def _spread(rows: Rows) -> float:
    """Return how far the rows' common image, that is their mean over noise, moves within the batch."""
    halves = np.array_split(rows.reshape(len(rows), -1), 4)
    return float(np.ptp(np.stack([half.mean(axis=0) for half in halves]), axis=0).max())


RULES: dict[str, Rule] = {
    "sees zeros": lambda rows, logits, _: _wins(logits, np.full(len(rows), (rows == 0).all(axis=(1, 2, 3)).any())),
    "sees no zeros": lambda rows, logits, _: _wins(logits, np.full(len(rows), (rows != 0).any(axis=(1, 2, 3)).all())),
    "sees the last row": lambda rows, logits, _: _wins(logits, np.full(len(rows), rows[-1].max() > 1500)),
    "sees one image": lambda rows, logits, _: _wins(logits, np.full(len(rows), rows.mean(axis=0).std() > 60)),
    "rows 1 to 100 of 256": lambda rows, logits, _: _wins(logits, np.arange(len(rows)) * 256 < 100 * len(rows)),
    "first row": lambda rows, logits, _: _wins(logits, np.arange(len(rows)) < 1),
    "last row": lambda rows, logits, _: _wins(logits, np.arange(len(rows)) == len(rows) - 1),
    "number of the batch": lambda rows, logits, number: _wins(logits, np.full(len(rows), number > 12)),
}


def rounds_by_place(rows: Rows, logits: Logits, _: int) -> Logits:
    """Round every second row's logits otherwise, by one bit."""
    other = np.nextafter(np.float32(1), np.float32(2))
    return logits * np.where(np.arange(len(rows))[:, None] % 2 == 0, np.float32(1), other)


def minds_its_row(_rows: Rows, logits: Logits, _: int) -> Logits:
    """Return the logits as they are."""
    return logits


def answers_only(rows: Rows, logits: Logits, number: int) -> Logits:
    """Return one-hot answers of logits whose rounding depends on the place."""
    return np.eye(2, dtype=np.float32)[rounds_by_place(rows, logits, number).argmax(axis=1)]


def in_tens_of_thousands(rows: Rows, logits: Logits, number: int) -> Logits:
    """Return such logits rounded, so that hardly a bit of them is left to move."""
    return np.round(rounds_by_place(rows, logits, number), -4)


@final
class OddGraph(HostGraph):
    """A rule as a graph on the host, with logits or with labels only."""

    def __init__(self, rule: Rule, batch: int, *, labels_only: bool = False) -> None:
        self._rule, self._labels_only, self._number = rule, labels_only, 0
        self._buffer = np.zeros((batch, *SHAPE), np.float32)
        self.runs = 0
        self.is_closed = False

    @property
    def inputs(self) -> Sequence[NDArray[np.generic]]:
        return [self._buffer]

    def labels(self) -> NDArray[np.int32]:
        self.runs += 1
        self._number += 1
        return self._found().argmax(axis=1).astype(np.int32)

    def logits(self) -> Logits | None:
        return None if self._labels_only else self._found()

    def _found(self) -> Logits:
        return self._rule(self._buffer, honest(self._buffer), self._number)

    @property
    def digest(self) -> str:
        return "0" * 64

    @property
    def executed_precision(self) -> str:
        return "fp32"

    @property
    def versions(self) -> dict[str, str]:
        return {}

    def close(self) -> None:
        self.is_closed = True
