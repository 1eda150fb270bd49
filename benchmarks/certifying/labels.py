"""The labels of equal noisy rows: an engine's beside those of the model in eager FP32."""

from contextlib import closing
from dataclasses import dataclass

from purecert.engine.backends.base import BackendOptions
from purecert.engine.backends.opening import open_backend
from purecert.engine.bench.agreement import SEED, Labels, backend_labels
from purecert.engine.bench.measure import Task
from purecert.engine.plans.plan import read_plan


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Labelled:
    """What an engine calls a task's draws, and what compiling for that took."""

    labels: Labels
    build_seconds: float


def label_by_engine(task: Task, options: BackendOptions) -> Labelled:
    """Return the labels of a task's draws; what has to be compiled is compiled here and kept with the plan.

    Raises:
        PurecertError: The backend is missing, cannot run the plan, or runs out of memory.
    """
    plan, draws = read_plan(task.plan), task.draws
    with closing(open_backend(plan, task.sigma, SEED, options, draws.images, draws.indices)) as backend:
        return Labelled(labels=backend_labels(backend, draws), build_seconds=backend.cost().build_seconds)
