"""Processor seconds of a stage, kept beside its state and taken up again where a training goes on."""

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

from purecert.train.fitting.progress import Lines, StepReport

FILE = "processor.jsonl"


class Clock(Lines):
    """Says a line a report, and writes down how many processor seconds the stage has taken up to there."""

    def __init__(self, stream: TextIO, folder: Path) -> None:
        super().__init__(stream)
        self._folder = folder

    def begin(self, stage: str, step: int, steps: int) -> None:
        super().begin(stage, step, steps)
        self._path, self._step, self._written = self._folder / stage / FILE, step, step
        self._base = seconds_at(self._path, step)
        self._began = time.process_time()

    def step(self) -> None:
        self._step += 1

    def report(self, line: StepReport) -> None:
        super().report(line)
        self._write()

    def end(self) -> None:
        self._write()

    def _write(self) -> None:
        if self._written == self._step:
            return
        self._written = self._step
        seconds = None if self._base is None else self._base + time.process_time() - self._began
        with self._path.open("a") as file:
            file.write(json.dumps({"step": self._step, "seconds": seconds}) + "\n")


def seconds_at(path: Path, step: int) -> float | None:
    """Return the seconds written down at ``step``, the last time it was reached; 0 at the start, None if unknown."""
    if step == 0:
        return 0.0
    lines = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    found = [line["seconds"] for line in lines if line["step"] == step]
    return found[-1] if found else None


def total_seconds(folder: Path, stages: Sequence[tuple[str, int]]) -> float | None:
    """Return the processor seconds of several stages to their last steps; None where one is not known."""
    found = [seconds_at(folder / stage / FILE, steps) for stage, steps in stages]
    return None if None in found else sum(value for value in found if value is not None)
