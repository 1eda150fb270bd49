"""One row, measured where it has a process to itself."""

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

from purecert.engine.backends.base import BackendOptions
from purecert.engine.backends.opening import open_backend
from purecert.engine.bench.agreement import SEED, Draws, Labels, backend_labels
from purecert.engine.bench.process import peak_memory
from purecert.engine.bench.timing import Timing, time_backend
from purecert.engine.plans.plan import read_plan


@dataclass(frozen=True, kw_only=True, slots=True)
class Task:
    """What the rows of one benchmark share."""

    plan: Path
    sigma: float
    draws: Draws  # their images are timed too
    seconds: float  # of each measurement
    threads: int
    compares: bool  # whether there is a reference to compare labels with


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Measurement:
    """What a row's process found."""

    executed_precision: str
    device: str  # "cpu", or "accelerator"
    hardware: str
    placement: str | None  # of rows in the batch, of a backend
    versions: dict[str, str]
    build_seconds: float
    open_seconds: float
    timing: Timing
    device_memory_peak: int | None  # bytes
    host_memory_peak: int  # bytes
    labels: Labels | None  # of the task's draws, where they are to be compared


def measure_backend(task: Task, options: BackendOptions) -> Measurement:
    """Return what a backend takes for the task, through its public interface alone.

    Raises:
        PurecertError: The backend is missing, cannot run the plan, or runs out of memory.
    """
    plan = read_plan(task.plan)
    began = perf_counter()
    backend = open_backend(plan, task.sigma, SEED, options, task.draws.images, task.draws.indices)
    open_seconds = perf_counter() - began
    with closing(backend):
        timing = time_backend(backend, task.draws.images, task.draws.indices, task.seconds)
        # Before labels are compared, which is no part of what a run does.
        cost, host_memory_peak = backend.cost(), peak_memory()
        labels = backend_labels(backend, task.draws) if task.compares else None
        return Measurement(
            executed_precision=backend.info.executed_precision,
            device="cpu" if cost.device_memory_peak is None else "accelerator",
            hardware=backend.info.hardware,
            placement=backend.info.placement,
            versions=backend.info.versions,
            build_seconds=cost.build_seconds,
            open_seconds=open_seconds,
            timing=timing,
            device_memory_peak=cost.device_memory_peak,
            host_memory_peak=host_memory_peak,
            labels=labels,
        )
