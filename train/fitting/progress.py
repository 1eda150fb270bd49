"""What a person sees while a training goes on."""

import sys
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, TextIO, final

from purecert.engine.errors import BackendError


@dataclass(frozen=True, kw_only=True, slots=True)
class StepReport:
    """One line of a training's log."""

    stage: str
    step: int  # steps done
    steps: int
    loss: float  # mean since the line before
    learning_rate: float  # of the last step
    gradient_norm: float  # of the last step, before clipping
    samples_per_second: float  # since the line before, or since this session began
    seconds: float  # spent on the stage, in all sessions


class TrainingProgress(ABC):
    """Hears how a training goes on."""

    @abstractmethod
    def begin(self, stage: str, step: int, steps: int) -> None:
        """A stage begins, or goes on at ``step`` of ``steps``."""

    @abstractmethod
    def step(self) -> None:
        """One more step is done."""

    @abstractmethod
    def report(self, line: StepReport) -> None:
        """A line of the log is due."""

    @abstractmethod
    def end(self) -> None:
        """The stage is over, or was stopped."""


class Silent(TrainingProgress):
    """Says nothing."""

    def begin(self, stage: str, step: int, steps: int) -> None:
        pass

    def step(self) -> None:
        pass

    def report(self, line: StepReport) -> None:
        pass

    def end(self) -> None:
        pass


@final
class Lines(Silent):
    """One line a report, for files and pipes."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def begin(self, stage: str, step: int, steps: int) -> None:
        if step:
            self._say(f"{stage} goes on at {step}/{steps}")

    def report(self, line: StepReport) -> None:
        left = (line.steps - line.step) * line.seconds / max(line.step, 1)
        pace = f"{line.samples_per_second:,.0f} samples/s  {left:.0f} s left"
        self._say(f"{line.stage} {line.step}/{line.steps} loss {line.loss:.4f}  {pace}")

    def _say(self, text: str) -> None:
        print(text, file=self._stream, flush=True)


@final
class Bar(TrainingProgress):
    """A bar with the time left, redrawn in place; every stage leaves its last state."""

    def __init__(self, stream: TextIO) -> None:
        try:
            from tqdm import tqdm
        except ImportError as error:
            raise BackendError(
                "bars are drawn by tqdm, which is absent; pip install tqdm, or send stderr to a file"
            ) from error
        self._make, self._stream = tqdm, stream
        self._bar: Any = None

    def begin(self, stage: str, step: int, steps: int) -> None:
        self._bar = self._make(
            desc=stage, initial=step, total=steps, unit="step", file=self._stream, dynamic_ncols=True, mininterval=0.2
        )

    def step(self) -> None:
        self._bar.update()

    def report(self, line: StepReport) -> None:
        self._bar.set_postfix_str(f"loss {line.loss:.4f}, {line.samples_per_second:,.0f} samples/s", refresh=False)

    def end(self) -> None:
        self._bar.close()


def usual_progress(stream: TextIO | None = None) -> TrainingProgress:
    """Return a bar where ``stream`` (by default stderr) is a terminal, lines where not, silence where it is closed."""
    chosen = sys.stderr if stream is None else stream
    if chosen is None:
        return Silent()
    return Bar(chosen) if chosen.isatty() else Lines(chosen)
