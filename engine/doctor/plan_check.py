"""A plan as this machine sees it: readable, whole, and whose its cached files are."""

import json
import re
from dataclasses import dataclass
from pathlib import Path

import purecert
from purecert.engine.doctor.cached_files import OF_PROGRAMS, CacheFault, check_cache, unreadable
from purecert.engine.errors import InputError, Problem
from purecert.engine.plans.plan import PLAN_FILE, PLAN_SCHEMA, Plan, read_plan

_QUICK_BYTES = 32 * 2**20  # a graph that takes longer to open than a doctor has is far larger
_EXPORT_AGAIN = "copy the plan again, or export it on this machine: engine-export"


@dataclass(frozen=True, kw_only=True, slots=True)
class PlanCheck:
    """What is wrong with a plan, and which backends that stops."""

    directory: str
    says: str  # what the plan is, in a line
    problems: tuple[Problem, ...]
    stops: dict[str, Problem]  # backend -> the first cached file that it would load and cannot
    is_quick: bool  # whole, and small enough for a batch in a moment


def check_plan(directory: Path) -> PlanCheck:
    """Return what is wrong with the plan in ``directory``.

    Raises:
        InputError: There is no such folder.
    """
    try:
        plan = read_plan(directory)
    except InputError as error:
        if not directory.is_dir():
            raise
        return _unreadable(directory, _newer(directory) or Problem(reason=str(error), remedy=_EXPORT_AGAIN))
    except OSError as error:
        return _unreadable(directory, unreadable(directory, error))
    damage, faults = _damage(plan), check_cache(plan)
    sizes = [(directory / graph.file).stat().st_size for graph in plan.record.graphs] if not damage else []
    # One key that cannot be used is at fault with every file.
    problems = dict.fromkeys((*damage, *(fault.problem for fault in faults)))
    return PlanCheck(
        directory=str(directory),
        says=f"{plan.record.precision}, sigma {', '.join(str(graph.sigma) for graph in plan.record.graphs)}",
        problems=tuple(problems),
        stops=_stops(faults),
        is_quick=bool(sizes) and max(sizes) <= _QUICK_BYTES,
    )


def _stops(faults: list[CacheFault]) -> dict[str, Problem]:
    stops: dict[str, Problem] = {}
    for fault in faults:
        for backend in fault.backends:
            stops.setdefault(backend, fault.problem)
    return stops


def _unreadable(directory: Path, problem: Problem) -> PlanCheck:
    stops = dict.fromkeys(OF_PROGRAMS, problem)  # the others can show on the doctor's own plan what they can do
    return PlanCheck(directory=str(directory), says="not readable", problems=(problem,), stops=stops, is_quick=False)


def _newer(directory: Path) -> Problem | None:
    """Return what to say of a plan that a later version of purecert wrote, or None if it did not."""
    try:
        schema = json.loads((directory / PLAN_FILE).read_bytes())["schema"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None  # the reader has said what it is
    family, _, own = PLAN_SCHEMA.partition("/")
    found = re.fullmatch(rf"{re.escape(family)}/(\d{{1,9}})", schema) if isinstance(schema, str) else None
    if found is None or int(found[1]) <= int(own):
        return None
    return Problem(
        reason=f"{directory / PLAN_FILE} is newer than this tool: its schema is {schema}, and purecert "
        f"{purecert.__version__} reads {PLAN_SCHEMA}",
        remedy="pip install --upgrade purecert, or export the plan with this version",
    )


def _damage(plan: Plan) -> list[Problem]:
    problems = []
    for graph in plan.record.graphs:
        try:
            plan.read_graph(graph.sigma)
        except InputError as error:
            reason = str(error).partition("; ")[0]  # what to do about it comes after
            problems.append(Problem(reason=reason, remedy=_EXPORT_AGAIN))
        except OSError as error:
            problems.append(unreadable(plan.directory / graph.file, error))
    return problems
