"""Engines of a plan, built ahead of the first run: from the options of engine-export to the cache of the plan."""

from collections.abc import Sequence
from dataclasses import replace

from purecert.engine.backends.tensorrt.build import BuildOptions, check_target
from purecert.engine.backends.tensorrt.cache import EngineFile, open_engine
from purecert.engine.backends.tensorrt.library import LibraryName, load_library
from purecert.engine.backends.tensorrt.target import Target, any_gpu, this_gpu
from purecert.engine.errors import BackendError, InputError, PurecertError
from purecert.engine.images.datasets import Dataset
from purecert.engine.plans.plan import Plan
from purecert.export.fusing.fuse import fuse
from purecert.export.gate.engines import gate_engines
from purecert.export.gate.parity import Talk
from purecert.export.pipeline import ExportSpec
from purecert.train.models.checkpoints import Model

ENGINE_BATCH = 256  # rows of a call where --batch is not given; the help of engine-export names it too


def build_options(level: int | None, workspace_mib: int | None, *, has_engines: bool) -> BuildOptions:
    """Return how to search for engines, with the library's defaults for what is None.

    Raises:
        InputError: Something is given and there are no engines to build, or it is out of its range.
    """
    if not has_engines and (level, workspace_mib) != (None, None):
        raise InputError(
            "--builder-level and --workspace-mib are the engines'; add --tensorrt or --tensorrt-rtx, or leave them out"
        )
    options = BuildOptions(workspace_mib=workspace_mib)
    return options if level is None else replace(options, optimization_level=level)


def engine_targets(
    *, for_tensorrt: bool, for_rtx: bool, batch: int | None, gpu: str | None
) -> dict[LibraryName, Target]:
    """Return what to build engines for, by library; asked before the work of an export.

    Raises:
        InputError: ``batch`` or ``gpu`` is out of its range, or given where no engine takes it.
        BackendError: As ``choose_target``.
    """
    if batch is not None and not (for_tensorrt or for_rtx):
        raise InputError("--batch is the engines'; add --tensorrt or --tensorrt-rtx, or leave it out")
    if batch is not None and batch < 1:
        raise InputError(f"expected --batch of at least 1, got {batch}")
    if gpu is not None and not for_rtx:
        raise InputError("--gpu is what --tensorrt-rtx builds for, and TensorRT builds for the GPU here; leave it out")
    targets: dict[LibraryName, Target] = {}
    if for_tensorrt:
        targets["tensorrt"] = choose_target("tensorrt", None)
    if for_rtx:
        targets["tensorrt-rtx"] = choose_target("tensorrt-rtx", gpu)
    return targets


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


def add_engines(
    plan: Plan,
    library: LibraryName,
    target: Target,
    batch: int,
    options: BuildOptions,
    model: Model,
    spec: ExportSpec,
    images: Dataset,
    talk: Talk,
    *,
    is_here: bool,
) -> tuple[Plan, Sequence[EngineFile]]:
    """Return the plan with its engines in the cache and, where they can run here, their votes compared too."""
    engines = build_ahead(plan, batch, library, target, options, talk)
    if not is_here:
        talk(f"the votes of these engines were not compared: they are for {target.capability}, asked for with --gpu")
        return plan, engines
    modules = {sigma: fuse(model, sigma) for sigma in spec.sigmas}
    return gate_engines(plan, engines, modules, images, spec.parity_draws, batch, library, talk), engines
