"""How and where a training goes on; nothing of it decides a weight."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from purecert.engine.errors import PurecertError
from purecert.train.fitting.processes.group import Processes
from purecert.train.fitting.progress import Silent, TrainingProgress


class PausedError(PurecertError):
    """The time budget is spent; everything is saved, and the same command goes on from there. Not a failure."""

    exit_code = 0


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Session:
    """Where a training keeps what it makes, whom it tells, how long it may take and who shares the work."""

    folder: Path | None = None  # each stage has a folder in it; None: nothing is kept, and nothing can go on
    configuration: Mapping[str, Any] = field(default_factory=dict)  # of the recipe; what goes on must have the same
    progress: TrainingProgress = field(default_factory=Silent)
    deadline: float | None = None  # on the clock of time.monotonic; None: as long as it takes
    processes: Processes = field(default_factory=Processes)
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))  # recipes put their networks there

    def with_minutes(self, minutes: float | None) -> "Session":
        """Return the session with a deadline so many minutes from now; None sets none."""
        return replace(self, deadline=None if minutes is None else time.monotonic() + 60 * minutes)

    @property
    def is_over(self) -> bool:
        """Whether the deadline has passed."""
        return self.deadline is not None and time.monotonic() >= self.deadline

    def stage_folder(self, stage: str) -> Path | None:
        """Return the folder of a stage, which is made; None where nothing is kept."""
        if self.folder is None:
            return None
        folder = self.folder / stage
        folder.mkdir(parents=True, exist_ok=True)
        return folder
