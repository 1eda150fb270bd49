"""A run's progress on a terminal: images, samples per second, certified accuracy so far, time left."""

import sys
from time import monotonic
from typing import TextIO

from purecert.engine.certificates import Row

_REDRAW_SECONDS = 0.2  # rarely enough to cost nothing


class TerminalProgress:
    """One line on ``stream``, redrawn in place; silent where ``stream`` is no terminal."""

    def __init__(self, images: int, rows_per_image: int, stream: TextIO = sys.stderr) -> None:
        """Show the progress of ``images`` images of ``rows_per_image`` draws each."""
        self._stream, self._shown = stream, stream.isatty()
        self._images, self._total_rows = images, images * rows_per_image
        self._began, self._drawn = monotonic(), 0.0
        self._done = self._correct = self._rows = 0

    def rows(self, count: int) -> None:
        """Hear that ``count`` more rows were counted."""
        self._rows += count
        if self._shown and monotonic() - self._drawn > _REDRAW_SECONDS:
            self._draw()

    def image(self, row: Row) -> None:
        """Hear that one more image is finished."""
        self._done += 1
        self._correct += row.correct  # certified accuracy at radius 0
        if self._shown and self._done == self._images:
            self._draw()
            self._stream.write("\n")

    def _draw(self) -> None:
        self._drawn = monotonic()
        rate = self._rows / max(self._drawn - self._began, 1e-9)
        left = (self._total_rows - self._rows) / rate if rate else 0.0
        accuracy = f"{self._correct / self._done:.1%}" if self._done else "-"
        line = (
            f"\r{self._done}/{self._images} images  {rate:,.0f} samples/s  "
            f"certified accuracy {accuracy}  {left:.0f} s left "
        )
        self._stream.write(line)
        self._stream.flush()
