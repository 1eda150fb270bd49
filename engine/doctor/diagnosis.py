"""One backend's answer: usable or not, why, and how to mend it; and the batch that it is tried with.

The batch runs in a process of its own, and every way in which it can fail becomes a reason and a remedy.
"""

import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from purecert.engine.doctor.machine import Machine
from purecert.engine.doctor.probes.batch import run_own, run_small
from purecert.engine.errors import Problem, PurecertError, UnusableError
from purecert.engine.own_process import RESTART, DiedError, ask

_ILLEGAL = "SIGILL"
_LONGER = 120  # seconds
PASS_PROCESSOR_THROUGH = (
    "use a processor with AVX2; a virtual machine must show the host's own (QEMU: -cpu host; libvirt: "
    "<cpu mode='host-passthrough'/>)"
)


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


def try_batch(
    machine: Machine,
    trial: Trial,
    backend: str,
    remedy: str,
    *,
    on_own_plan: bool = False,
    run: Callable[[str, Path], str] = run_small,
) -> str:
    """Return what computed a batch of ``backend``.

    Args:
        machine: Where it runs, for the reason why it does not.
        trial: How long it may take, the user's plan, and the backends that this stops.
        backend: Its name.
        remedy: What to do where the runtime fails.
        on_own_plan: Take the user's plan where there is one, in place of the doctor's.
        run: What runs a batch of the doctor's own plan.
    """
    if backend in trial.stops:
        raise UnusableError(trial.stops[backend].reason, trial.stops[backend].remedy)
    try:
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:  # a stuck process may write
            if on_own_plan and trial.plan is not None:
                return f"ran a batch of the plan ({ask(trial.seconds, run_own, backend, trial.plan)})"
            return f"ran a batch ({ask(trial.seconds, run, backend, Path(folder))})"
    except PurecertError as error:
        reason, _, advice = str(error).partition("; ")  # as all our errors are built
        raise UnusableError(reason, f"{advice}; {remedy}" if advice else remedy) from error
    except DiedError as error:
        raise _died(machine, trial, error, backend, remedy) from error


def _died(machine: Machine, trial: Trial, error: DiedError, backend: str, remedy: str) -> UnusableError:
    if error.signal_name == _ILLEGAL and machine.processor.has("avx2") is False:
        return UnusableError(f"{error.reason}: this processor has no AVX2", PASS_PROCESSOR_THROUGH)
    if error.is_stuck:
        return UnusableError(error.reason, RESTART)
    if error.timed_out:
        longer = f"engine-doctor --backend {backend} --timeout {_LONGER:g}"
        return UnusableError(f"{error.reason}, which proves nothing", f"give it longer: {longer}")
    return UnusableError(error.reason, remedy)
