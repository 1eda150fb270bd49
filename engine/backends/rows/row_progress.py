"""What the row check says while it runs: one line on stderr, where it takes long enough to wonder."""

import logging
from time import monotonic
from typing import final

_SILENT_SECONDS = 2.0
_log = logging.getLogger("purecert")


@final
class CheckProgress:
    """Counts the batches of a check and says once how many seconds are left, if two have passed."""

    def __init__(self, batches: int, rows: int) -> None:
        """Begin a check of ``batches`` batches, at the most, of ``rows`` rows."""
        self._batches, self._rows, self._done = batches, rows, 0
        self._began, self._is_said = monotonic(), False

    def batch(self) -> None:
        """Hear that one more batch was run."""
        self._done += 1
        seconds = monotonic() - self._began
        if not self._is_said and seconds > _SILENT_SECONDS and self._done < self._batches:
            self._is_said = True
            left = seconds / self._done * (self._batches - self._done)
            _log.warning(
                "checking that each row is classified by its own pixels alone: %d batches of %d rows, at most %.0f s "
                "more; the result is kept in the plan's cache",
                *(self._batches, self._rows, left),
            )
