"""One backend's answer: usable or not, why, and how to mend it."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from purecert.engine.doctor.machine import Machine
from purecert.engine.errors import Problem, UnusableError


@dataclass(frozen=True, kw_only=True, slots=True)
class Diagnosis:
    """Whether a backend can be used here."""

    backend: str
    usable: bool
    reason: str  # what ran, or the first thing that does not work
    remedy: str | None  # what to do about that; None where it is usable
    seconds: float  # that the answer took


@dataclass(frozen=True, kw_only=True, slots=True)
class Trial:
    """What a backend is tried with."""

    seconds: float  # that a batch may take, from the start of its process
    plan: Path | None = None  # a plan of the user's that is whole and quick; None for the doctor's own
    stops: Mapping[str, Problem] = field(default_factory=dict)  # backend -> what of the user's plan it cannot load

    def __post_init__(self) -> None:
        if not self.seconds > 0:
            raise ValueError(f"expected seconds > 0, got {self.seconds}")


Examination = Callable[[Machine, Trial], str]
"""Returns what ran, or raises an UnusableError for the first thing that a user must mend."""


def diagnose(backend: str, examine: Examination, machine: Machine, trial: Trial) -> Diagnosis:
    """Return what ``examine`` finds of ``backend`` on ``machine``."""
    began = time.monotonic()
    remedy: str | None = None
    try:
        reason = examine(machine, trial)
    except UnusableError as error:
        reason, remedy = error.problem.reason, error.problem.remedy
    seconds = round(time.monotonic() - began, 2)
    return Diagnosis(backend=backend, usable=remedy is None, reason=reason, remedy=remedy, seconds=seconds)
