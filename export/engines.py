"""Engines of a plan, built ahead of the first run."""

from purecert.engine.backends.tensorrt.build import BuildOptions, check_target
from purecert.engine.backends.tensorrt.cache import EngineFile, open_engine
from purecert.engine.backends.tensorrt.library import LibraryName, load_library
from purecert.engine.backends.tensorrt.target import Target, any_gpu, this_gpu
from purecert.engine.errors import BackendError, PurecertError
from purecert.engine.plans.plan import Plan
from purecert.export.gate.parity import Talk


def choose_target(library: LibraryName, capability: str | None) -> Target:
    """Return what to build for: GPUs of ``capability``, or the GPU that is here; asked before the work of an export.

    Raises:
        InputError: The capability is not written like ``sm_89``.
        BackendError: The library is missing, there is no usable GPU and no ``capability``, or it is not supported.
    """
    load_library(library)
    target = _gpu_here(library) if capability is None else any_gpu(capability)
    check_target(library, target)
    return target


def _gpu_here(library: LibraryName) -> Target:
    try:
        return this_gpu()
    except BackendError as error:
        elsewhere = "; or build for another machine's with --gpu, such as sm_89" if library == "tensorrt-rtx" else ""
        raise BackendError(f"{error}{elsewhere}") from error


def build_ahead(
    plan: Plan,
    batch: int,
    library: LibraryName,
    target: Target | None = None,
    options: BuildOptions | None = None,
    talk: Talk = lambda line: None,
) -> tuple[EngineFile, ...]:
    """Return the engine of every sigma, each now in the plan's cache under this machine's tag.

    Args:
        plan: The plan, at its final place.
        batch: Rows of a call.
        library: Which library builds them.
        target: What they shall run on; None for the GPU that is here.
        options: How to search; an engine that is there and was found with others is built again. None takes any that
            is there, and searches with the defaults where there is none.
        talk: Takes what a person should know meanwhile.

    Raises:
        PurecertError: As ``open_engine``; the plan stays, and the message says so.
    """
    target = target or choose_target(library, None)
    engines = []
    for graph in plan.record.graphs:
        try:
            engine = open_engine(plan, graph.sigma, batch, library, target, options, trust=False)
        except PurecertError as error:
            raise type(error)(f"{error}; the plan in {plan.directory} is complete, without this engine") from error
        talk(f"engine of sigma {graph.sigma} for {target.gpu}: {engine.report.summary()}; {engine.build_seconds} s")
        engines.append(engine)
    return tuple(engines)
