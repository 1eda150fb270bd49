"""A plan as this machine sees it: readable, whole, and whose its cached files are."""

import json
import re
from dataclasses import dataclass
from pathlib import Path

import purecert
from purecert.engine.doctor.machine import Problem
from purecert.engine.errors import InputError
from purecert.engine.plan import CACHE_DIRECTORY, PLAN_FILE, PLAN_SCHEMA, Plan, read_plan
from purecert.engine.trust import is_of_this_machine, read_trusted

_QUICK_BYTES = 32 * 2**20  # a graph that takes longer to open than a doctor has is far larger
_EXPORT_AGAIN = "copy the plan again, or export it on this machine: engine-export"
_NOT_CODE = (".tag", ".json")


@dataclass(frozen=True, kw_only=True, slots=True)
class PlanCheck:
    """What is wrong with a plan, and which backends that stops."""

    directory: str
    says: str  # what the plan is, in a line
    problems: tuple[Problem, ...]
    programs: Problem | None  # why PyTorch's backends cannot load its cached programs
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
        return _unreadable(directory, error)
    damage = _damage(plan)
    programs = [problem for graph in plan.record.graphs if (problem := _program(plan, graph.sigma)) is not None]
    sizes = [(directory / graph.file).stat().st_size for graph in plan.record.graphs] if not damage else []
    return PlanCheck(
        directory=str(directory),
        says=f"{plan.record.precision}, sigma {', '.join(str(graph.sigma) for graph in plan.record.graphs)}",
        problems=(*damage, *programs, *_foreign_files(plan)),
        programs=programs[0] if programs else None,
        is_quick=bool(sizes) and max(sizes) <= _QUICK_BYTES,
    )


def _unreadable(directory: Path, error: InputError) -> PlanCheck:
    problem = _newer(directory) or Problem(reason=str(error), remedy=_EXPORT_AGAIN)
    return PlanCheck(
        directory=str(directory), says="not readable", problems=(problem,), programs=problem, is_quick=False
    )


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
            problems.append(Problem(reason=_first_part(error), remedy=_EXPORT_AGAIN))
    return problems


def _program(plan: Plan, sigma: float) -> Problem | None:
    path = plan.cached_program(sigma)
    try:
        read_trusted(path, plan.graph(sigma).sha256)
    except InputError as error:
        if not path.is_file():
            return Problem(reason=_first_part(error), remedy="export the plan on this machine: engine-export")
        return _foreign(path, _first_part(error))
    return None


def _foreign_files(plan: Plan) -> list[Problem]:
    """Return the other cached files that this machine did not write as they are: compiled programs and engines."""
    programs = {plan.cached_program(graph.sigma) for graph in plan.record.graphs}
    cache = plan.directory / CACHE_DIRECTORY
    held = sorted(path for path in cache.iterdir() if path.is_file()) if cache.is_dir() else []
    return [
        _foreign(path, f"{path}: loading it runs code from it, and it does not carry this machine's tag")
        for path in held
        if path not in programs and path.suffix not in _NOT_CODE and not is_of_this_machine(path)
    ]


def _foreign(path: Path, reason: str) -> Problem:
    remedy = f"rm '{path}' and export the plan on this machine, or pass --trust-plan if you trust who made it"
    return Problem(reason=f"{reason} (made elsewhere, or changed)", remedy=remedy)


def _first_part(error: InputError) -> str:
    return str(error).partition("; ")[0]  # what to do about it comes behind
