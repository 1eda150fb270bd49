"""metrics.jsonl: one line a report, cut back to the saved step when a training goes on."""

import os
from dataclasses import asdict
from pathlib import Path
from typing import TextIO, final

from purecert.engine.errors import InputError
from purecert.engine.files.canonical import canonical_json, write_atomically
from purecert.engine.files.strict_json import parse_json
from purecert.train.fitting.progress import StepReport

METRICS_FILE = "metrics.jsonl"


@final
class Metrics:
    """The log of one stage, which this process alone writes."""

    def __init__(self, folder: Path, step: int) -> None:
        """Open the log, and drop the lines after ``step``, which the saved state does not know of.

        Raises:
            InputError: A line up to there is none of a log.
        """
        path = folder / METRICS_FILE
        write_atomically(path, b"".join(_lines_until(path, step)))
        self._file: TextIO = path.open("a", encoding="ascii")

    def write(self, line: StepReport) -> None:
        """Append one line; a crash can leave a part of it, which is dropped when the training goes on."""
        self._file.write(canonical_json(asdict(line)) + "\n")
        self._file.flush()

    def sync(self) -> None:
        """Have every line on disk."""
        os.fsync(self._file.fileno())

    def close(self) -> None:
        self._file.close()


def _lines_until(path: Path, step: int) -> list[bytes]:
    kept: list[bytes] = []
    content = path.read_bytes() if step and path.exists() else b""
    for number, line in enumerate(content.splitlines(keepends=True), start=1):
        if not line.endswith(b"\n"):
            break  # cut by a crash
        try:
            has_ended = not parse_json(line)["step"] <= step
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            where = f"{path}:{number}"
            raise InputError(
                f"{where}: expected a line of a training's log, found another; move the file away"
            ) from error
        if has_ended:
            break
        kept.append(line)
    return kept
