"""A run that ends as an interruption ends it."""

from purecert.engine.records.lines import Line
from purecert.engine.running.progress import SilentProgress


class Interrupted(SilentProgress):
    """Ends the run after some images, as Ctrl-C does."""

    def __init__(self, images: int) -> None:
        self._left = images

    def image(self, line: Line) -> None:
        self._left -= 1
        if not self._left:
            raise KeyboardInterrupt
