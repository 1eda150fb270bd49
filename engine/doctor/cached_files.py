"""The files in a plan's cache: which backends would load them, and why that ends their run.

Such files are code, and a backend takes them only with this machine's tag (engine/plans/trust.py).
"""

import re
from dataclasses import dataclass
from pathlib import Path

from purecert.engine.errors import InputError, Problem
from purecert.engine.plans.plan import CACHE_DIRECTORY, Plan
from purecert.engine.plans.trust import is_of_this_machine, read_trusted

# Who loads an exported program (Plan.cached_program), and who a file that is named after a sigma, a word and a digest.
OF_PROGRAMS = ("torch", "torch-compiled", "torch-cuda")
_OF_WORDS = {
    ("cpu", ".pt2"): "torch-compiled",  # engine/backends/torch/compile.py
    ("cuda", ".pt2"): "torch-cuda",
    ("tensorrt", ".engine"): "tensorrt",  # engine/backends/tensorrt/cache.py
    ("tensorrt-rtx", ".engine"): "tensorrt-rtx",
    ("ort-tensorrt", ".engines"): "onnxruntime-tensorrt",  # engine/backends/onnxruntime/tensorrt.py
}
_NOT_CODE = (".tag", ".json")
_EXPORT = "export the plan on this machine: engine-export"
_TRUST = "or pass --trust-plan if you trust who made it"


@dataclass(frozen=True, kw_only=True, slots=True)
class CacheFault:
    """Something in the cache that cannot be loaded, and the backends that would load it."""

    problem: Problem
    backends: tuple[str, ...]


def check_cache(plan: Plan) -> list[CacheFault]:
    """Return what is wrong with the cached files of ``plan``: its programs first, in the order of its graphs."""
    cache = plan.directory / CACHE_DIRECTORY
    graphs = plan.record.graphs if plan.has_program else ()
    programs = {plan.cached_program(graph.sigma): graph.sha256 for graph in graphs}
    try:
        held = sorted(path for path in cache.iterdir() if path.is_file()) if cache.is_dir() else []
    except OSError as error:
        backends = (*OF_PROGRAMS, *(name for name in _OF_WORDS.values() if name not in OF_PROGRAMS))
        return [CacheFault(problem=unreadable(cache, error), backends=backends)]
    others = [path for path in held if path not in programs and path.suffix not in _NOT_CODE]
    found = [(path, _problem(path, programs.get(path), path in held)) for path in (*programs, *others)]
    return [
        CacheFault(problem=problem, backends=backends_that_load(plan, path))
        for path, problem in found
        if problem is not None
    ]


def backends_that_load(plan: Plan, path: Path) -> tuple[str, ...]:
    """Return the backends that would load the cached file ``path``; none for a file that only building reads."""
    if path in {plan.cached_program(graph.sigma) for graph in plan.record.graphs}:
        return OF_PROGRAMS
    sigmas = "|".join(re.escape(str(graph.sigma)) for graph in plan.record.graphs)
    named = re.fullmatch(rf"sigma-(?:{sigmas})-(.+)-[^-]+", path.stem)
    backend = _OF_WORDS.get((named[1], path.suffix)) if named is not None else None
    return () if backend is None else (backend,)


def unreadable(path: Path, error: OSError) -> Problem:
    """Return what to say of the file ``path``, or of one that it needs, which the system does not let us read."""
    named = error.filename or path
    return Problem(
        reason=f"{named} cannot be read ({error.strerror or error})",
        remedy=f"let this user read it: sudo chown \"$USER\" '{named}'; or delete it and {_EXPORT}",
    )


def _problem(path: Path, origin: str | None, is_there: bool) -> Problem | None:
    """Return why ``path`` cannot be loaded, or None; ``origin`` is what a program must have been made from."""
    if not is_there:
        return Problem(reason=f"{path}: no such cached file", remedy=_EXPORT)
    try:
        if _is_own(path, origin):
            return None
    except InputError as error:  # of the machine's key
        reason, _, advice = str(error).partition("; ")
        return Problem(reason=reason, remedy=advice)
    except OSError as error:
        return unreadable(path, error)
    instead = "the backend builds its own at the next run" if origin is None else "export the plan on this machine"
    return Problem(
        reason=f"{path}: loading it runs code from it, and it does not carry this machine's tag (made elsewhere, or "
        "changed)",
        remedy=f"rm '{path}' and {instead}, {_TRUST}",
    )


def _is_own(path: Path, origin: str | None) -> bool:
    """Whether this machine wrote ``path``; an InputError says that its key cannot be used."""
    if origin is None:
        return is_of_this_machine(path)
    try:
        read_trusted(path, origin)
    except InputError:
        is_of_this_machine(path)  # raises where not the file is at fault but the key
        return False
    return True
