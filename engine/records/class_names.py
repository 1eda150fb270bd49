"""What a run's classes are called: the plan says it, and the run's record says which plan that is."""

from dataclasses import dataclass

from purecert.engine.errors import InputError
from purecert.engine.plans.plan import read_plan
from purecert.engine.records.run import Run
from purecert.engine.records.sources import read_sources


@dataclass(frozen=True, kw_only=True, slots=True)
class ClassNames:
    """The names of a plan's classes in their order, or why they are not known."""

    names: tuple[str, ...] = ()
    unknown: str = ""  # why there are none; empty where there are


def class_names_of(run: Run) -> ClassNames:
    """Return what the classes of ``run`` are called.

    The names are those of the plan where the run found it, and only if it still is, byte for byte, the plan that the
    record names.
    """
    try:
        plan = read_plan(read_sources(run.directory).plan)
    except InputError as error:
        return ClassNames(unknown=f"the run's plan is not at hand ({error})")
    if plan.digest != run.record.plan:
        return ClassNames(unknown=f"{plan.directory} is not the run's plan any more")
    if not plan.record.class_names:
        return ClassNames(unknown="the plan has no names of classes")
    return ClassNames(names=plan.record.class_names)
