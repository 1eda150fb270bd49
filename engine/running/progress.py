"""A run's progress on a terminal: images, samples per second, certified accuracy, time left."""

import sys
from abc import ABC, abstractmethod
from collections.abc import Callable
from time import monotonic
from typing import TextIO

from purecert.engine.procedures.outcomes import Outcome
from purecert.engine.records.lines import Line

_REDRAW_SECONDS = 0.2  # rarely enough to cost nothing


class Progress(ABC):
    """Hears how a run goes on."""

    @abstractmethod
    def rows(self, count: int) -> None:
        """``count`` more noisy rows were counted."""

    @abstractmethod
    def image(self, line: Line) -> None:
        """One more image is finished and in the ledger."""


class SilentProgress(Progress):
    """Says nothing."""

    def rows(self, count: int) -> None:
        pass

    def image(self, line: Line) -> None:
        pass


OnImage = Callable[[int, int, Outcome], None]  # images finished, of how many, and the last one's outcome


class CallingProgress(Progress):
    """Tells a function of the caller's of every image that is finished, those of a resumed run included."""

    def __init__(self, inner: Progress, images: int, on_image: OnImage) -> None:
        """Call ``on_image`` for each of ``images``, after ``inner`` has heard of it."""
        self._inner, self._images, self._on_image, self._finished = inner, images, on_image, 0

    def rows(self, count: int) -> None:
        self._inner.rows(count)

    def image(self, line: Line) -> None:
        self._inner.image(line)
        self._finished += 1
        self._on_image(self._finished, self._images, line.outcome)


class TerminalProgress(Progress):
    """One line on ``stream`` (by default stderr), redrawn in place; silent where that is no terminal."""

    def __init__(
        self, images: int, rows_per_image: int, stream: TextIO | None = None, *, certifies: bool = True
    ) -> None:
        """Show the progress of ``images`` images of ``rows_per_image`` draws each; ``certifies`` names the accuracy."""
        chosen = sys.stderr if stream is None else stream  # None even so where stderr is closed
        self._terminal = chosen if chosen is not None and chosen.isatty() else None
        self._images, self._rows_per_image = images, rows_per_image
        self._began, self._drawn, self._width = monotonic(), 0.0, 0
        self._measure = "certified accuracy" if certifies else "accuracy"
        self._earlier = 0  # images that were finished before a resumed run went on
        self._done = self._labelled = self._correct = self._rows = 0

    def rows(self, count: int) -> None:
        """Hear that ``count`` more rows were counted."""
        self._rows += count
        if self._terminal and monotonic() - self._drawn > _REDRAW_SECONDS:
            self._draw(self._terminal)

    def image(self, line: Line) -> None:
        """Hear that one more image is finished: before the run was resumed, if no row has been counted yet."""
        if not self._rows:
            self._earlier += 1
            self._began = monotonic()
        self._done += 1
        self._labelled += line.label is not None
        self._correct += line.correct  # certified accuracy at radius 0
        if self._terminal and self._done == self._images:
            self._draw(self._terminal, end="\n")

    def _draw(self, terminal: TextIO, end: str = "") -> None:
        self._drawn = monotonic()
        rate = self._rows / max(self._drawn - self._began, 1e-9)
        rows_left = (self._images - self._earlier) * self._rows_per_image - self._rows
        accuracy = f"{self._correct / self._labelled:.1%}" if self._labelled else "-"
        left = f"{rows_left / rate:.0f}" if rate else "-"
        line = f"{self._done}/{self._images} images  {rate:,.0f} samples/s  {self._measure} {accuracy}  {left} s left"
        terminal.write("\r" + line.ljust(self._width) + end)  # blanks over what a longer line left behind
        terminal.flush()
        self._width = len(line)
