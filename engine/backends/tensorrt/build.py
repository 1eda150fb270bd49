"""One engine from one ONNX graph, for TensorRT and TensorRT-RTX alike, checked before it is kept.

TensorRT builds for the GPU that is here. TensorRT-RTX builds for any compute capability that it knows, without a GPU,
and compiles the kernels where the engine is loaded.
"""

import re
import time
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from purecert.engine.backends.tensorrt.library import Heard, LibraryName, failure, library_version, listen, load_library
from purecert.engine.backends.tensorrt.network import check_network, parse_network
from purecert.engine.backends.tensorrt.precision import PrecisionReport, check_precision
from purecert.engine.backends.tensorrt.report import parse_report
from purecert.engine.backends.tensorrt.target import Target
from purecert.engine.errors import BackendError, InputError
from purecert.engine.plans.plan import PlanRecord


@dataclass(frozen=True, kw_only=True, slots=True)
class BuildOptions:
    """How the builder searches.

    Raises:
        InputError: A value is out of its range.
    """

    optimization_level: int = 3  # 0 to 5; the libraries' own default
    workspace_mib: int | None = None  # memory that a layer may use beside its tensors; None: all that there is
    timing_cache: bool = True  # keep the kernels' measured times for the next build; TensorRT only

    def __post_init__(self) -> None:
        if self.optimization_level not in range(6):
            raise InputError(f"expected an optimisation level from 0 to 5, got {self.optimization_level}")
        if self.workspace_mib is not None and self.workspace_mib < 1:
            raise InputError(f"expected a workspace of at least 1 MiB, got {self.workspace_mib}")


@dataclass(frozen=True, kw_only=True, slots=True)
class BuiltEngine:
    """An engine that was built here and whose precision was checked."""

    content: bytes
    report: PrecisionReport
    timing_cache: bytes | None
    seconds: float  # of parsing, building and checking


def build_engine(
    library: LibraryName,
    onnx: bytes,
    record: PlanRecord,
    batch: int,
    target: Target,
    options: BuildOptions,
    timing_cache: bytes | None = None,
) -> BuiltEngine:
    """Return the engine of an ONNX graph at a fixed batch, whose layers have the precision of the plan.

    Args:
        library: Which library builds it.
        onnx: A graph of the plan.
        record: The plan's record: inputs, precision, FP32 islands.
        batch: Rows of a call, at least 1.
        target: What it will run on; with TensorRT, the GPU that is here.
        options: How to search.
        timing_cache: What an earlier build of this library for this GPU measured.

    Raises:
        InputError: The graph or the batch cannot be built, with the node's name.
        BackendError: The library is missing, cannot build it, or does not say what it built.
        CheckError: The engine does not compute in the plan's precision.
        OutOfMemoryError: The builder ran out of memory.
    """
    if batch < 1:
        raise InputError(f"expected a batch of at least 1, got {batch}")
    check_target(library, target)
    began = time.perf_counter()
    tools = _Tools.of(library)
    network = parse_network(tools.module, tools.builder, tools.logger, tools.heard, onnx)
    products = check_network(tools.module, network, onnx, record)
    config = _configure(tools, network, record, batch, options)
    _aim(tools, config, target)
    # In TensorRT-RTX, which compiles where the engine is loaded, timing caches are without effect.
    keeps_times = options.timing_cache and library == "tensorrt"
    if keeps_times:
        config.set_timing_cache(config.create_timing_cache(timing_cache or b""), False)
    content = _serialise(tools, network, config)
    report = check_precision(parse_report(_layer_report(tools, content, batch)), products, record, batch)
    measured = bytes(memoryview(config.get_timing_cache().serialize())) if keeps_times else None
    seconds = time.perf_counter() - began
    return BuiltEngine(content=content, report=report, timing_cache=measured, seconds=seconds)


def check_target(library: LibraryName, target: Target) -> None:
    """Refuse a target that the library cannot build for.

    Raises:
        BackendError: The library is missing, or TensorRT-RTX knows no such compute capability.
    """
    module = load_library(library)
    if library == "tensorrt-rtx" and target.capability not in (known := _capabilities(module)):
        raise BackendError(
            f"{library} {library_version(module)} builds for {', '.join(known)}, not for {target.capability} "
            f"({target.gpu}); on such a GPU use tensorrt, or name one of these with --gpu"
        )


def _capabilities(module: ModuleType) -> dict[str, Any]:
    """Return the compute capabilities that TensorRT-RTX knows, written as ``sm_89``, oldest first."""
    members = module.ComputeCapability.__members__.items()
    known = {f"sm_{name[2:]}": value for name, value in members if re.fullmatch(r"SM\d+", name)}
    return dict(sorted(known.items(), key=lambda entry: int(entry[0][3:])))


@dataclass(frozen=True, kw_only=True, slots=True)
class _Tools:
    """A library, what it says, and its builder. The library needs the logger for as long as it works."""

    library: LibraryName
    module: ModuleType
    logger: Any
    heard: Heard
    builder: Any

    @classmethod
    def of(cls, library: LibraryName) -> "_Tools":
        module = load_library(library)
        logger, heard = listen(module)
        try:
            builder = module.Builder(logger)
        except (TypeError, RuntimeError) as error:  # what a constructor that returns nothing becomes
            raise BackendError(
                f"{library} {library_version(module)} cannot start its builder ({heard.why()}); it needs a GPU and a "
                "driver that is not older than its CUDA"
            ) from error
        return cls(library=library, module=module, logger=logger, heard=heard, builder=builder)


def _configure(tools: _Tools, network: Any, record: PlanRecord, batch: int, options: BuildOptions) -> Any:
    """Return the builder's settings: one static shape, one stream, no TF32, a layer report."""
    module, config = tools.module, tools.builder.create_builder_config()
    profile = tools.builder.create_optimization_profile()
    for entry in record.inputs:
        shape = (batch, *entry.shape)
        profile.set_shape(entry.name, shape, shape, shape)
    if config.add_optimization_profile(profile) < 0:
        raise BackendError(f"{tools.library} cannot take a batch of {batch}: {tools.heard.why()}")
    config.profiling_verbosity = module.ProfilingVerbosity.DETAILED
    config.builder_optimization_level = options.optimization_level
    config.max_aux_streams = 0  # the capture of a CUDA graph follows one stream
    config.clear_flag(module.BuilderFlag.TF32)
    if options.workspace_mib is not None:
        config.set_memory_pool_limit(module.MemoryPoolType.WORKSPACE, options.workspace_mib * 2**20)
    return config


def _aim(tools: _Tools, config: Any, target: Target) -> None:
    """Set what the engine will run on; TensorRT builds for the GPU that is here only."""
    if tools.library == "tensorrt-rtx":
        config.num_compute_capabilities = 1
        config.set_compute_capability(_capabilities(tools.module)[target.capability], 0)


def _serialise(tools: _Tools, network: Any, config: Any) -> bytes:
    """Return the built engine as the bytes of a file."""
    built = tools.builder.build_serialized_network(network, config)
    if built is not None:
        return bytes(memoryview(built))
    raise failure(tools.heard, f"{tools.library} {library_version(tools.module)} cannot build the engine")


def _layer_report(tools: _Tools, content: bytes, batch: int) -> str:
    """Return what the library says about the layers of the engine that it has just built.

    TensorRT's inspector is asked, on the GPU that is here. TensorRT-RTX, which builds without one, logs the same text.
    """
    if tools.library == "tensorrt-rtx":
        return _logged_report(tools)
    engine = tools.module.Runtime(tools.logger).deserialize_cuda_engine(content)
    if engine is None:
        raise failure(tools.heard, f"{tools.library} cannot load the engine that it has just built")
    text = engine.create_engine_inspector().get_engine_information(tools.module.LayerInformationFormat.ONELINE)
    return text if "IOMode: " in text else f"{text}\n{_ends(engine, batch)}"


def _logged_report(tools: _Tools) -> str:
    if len(tools.heard.reports) != 1:
        raise BackendError(
            f"expected one report of the engine's layers in what {tools.library} {library_version(tools.module)} logs, "
            f"found {len(tools.heard.reports)}: its precision cannot be checked, and it is not used"
        )
    return tools.heard.reports[0]


def _ends(engine: Any, batch: int) -> str:
    """Return the engine's inputs and outputs as lines of a report, where the inspector has given names only.

    The engine gives the batch as -1, as the graph does, though the profile allows ``batch`` alone.
    """
    names = [engine.get_tensor_name(index) for index in range(engine.num_io_tensors)]
    return "\n".join(
        f"Name: {name}, IOMode: {engine.get_tensor_mode(name).name}, DataType: {engine.get_tensor_dtype(name).name}, "
        f"Dimensions: {[batch if extent == -1 else extent for extent in engine.get_tensor_shape(name)]}"
        for name in names
    )
