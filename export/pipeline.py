"""model.pt to plan directory: graphs, programs, the gate, and only then the plan's name."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path

import torch
from torch.export import ExportedProgram

from purecert.engine.backends.lower_precision import require_instructions
from purecert.engine.errors import InputError
from purecert.engine.files.canonical import sha256_hex, write_atomically
from purecert.engine.images.datasets import Dataset
from purecert.engine.noise.table import smoothing_noise
from purecert.engine.plans.plan import PLAN_SCHEMA, GraphInput, Plan, PlanRecord, Precision, SigmaGraph, write_plan
from purecert.engine.plans.trust import write_trusted
from purecert.export.fusing.fold import fold, folds_time
from purecert.export.fusing.fuse import FusedModel, fuse, graph_inputs
from purecert.export.fusing.precision import describe_islands, to_half
from purecert.export.gate.parity import DEFAULT_DRAWS, Talk, check_images, run_gate
from purecert.export.graph.program import LOGITS, export_program, has_softmax, onnx_bytes, program_bytes
from purecert.export.graph.rules import check_graph
from purecert.export.output import building, check_output
from purecert.export.refusals import needing
from purecert.train.models.checkpoints import Model
from purecert.train.models.kinds import PURIFIERS

_HALVES: Mapping[Precision, torch.dtype] = {"fp16": torch.float16, "bf16": torch.bfloat16}
_EXPORTER = ("purecert", "torch", "onnx", "onnxscript")


@dataclass(frozen=True, kw_only=True, slots=True)
class ExportSpec:
    """What to export.

    Raises:
        InputError: A value is out of its range.
    """

    sigmas: tuple[float, ...]  # noise stds in [0, 1] pixel units; one graph each
    precision: Precision = "fp16"
    parity_draws: int = DEFAULT_DRAWS
    force: bool = False  # replace a plan that is there

    def __post_init__(self) -> None:
        for sigma in self.sigmas:
            smoothing_noise(sigma)  # refuses what no noise can be drawn for
        if not self.sigmas or len(set(self.sigmas)) < len(self.sigmas):
            raise InputError(f"expected at least one sigma and each once, got {list(self.sigmas)}")
        if self.parity_draws < 1:
            raise InputError(f"expected --parity-draws of at least 1, got {self.parity_draws}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Origin:
    """What plan.json says about where the graphs come from."""

    classes: int
    purifier: str
    time_rule: str = "none"
    times: Mapping[float, float]  # sigma -> purifier time; sigmas without one are left out
    class_names: tuple[str, ...] = ()
    model_sha256: str = ""
    sources: tuple[str, ...] = ()
    licence: str = ""
    choices: tuple[str, ...] = ()


def export_plan(model: Model, spec: ExportSpec, data: Dataset, output: Path, talk: Talk = lambda line: None) -> Plan:
    """Return the plan of ``model``, written to ``output`` after it passed the parity gate on ``data``.

    Raises:
        InputError: ``output`` exists, ``data`` or ``spec`` do not fit the model, or the weights fit no ONNX file.
        CheckError: The plan does not vote like eager FP32, or FP16 overflows; nothing is left at ``output``.
    """
    modules = {sigma: fuse(model, sigma) for sigma in spec.sigmas}
    inputs = graph_inputs(model, spec.sigmas, spec.precision)
    origin = origin_of(model, spec.sigmas)
    if not folds_time(model.purifier):
        talk("the purifier's network is none that purecert knows: what depends on sigma only stays in the graph")
    return export_modules(modules, inputs, origin, spec, data, output, talk, ship=lambda sigma: fold(model, sigma))


def export_modules(
    modules: Mapping[float, FusedModel],
    inputs: tuple[GraphInput, ...],
    origin: Origin,
    spec: ExportSpec,
    data: Dataset,
    output: Path,
    talk: Talk = lambda line: None,
    ship: Callable[[float], FusedModel] | None = None,
) -> Plan:
    """Return the plan of the fused ``modules``, one per sigma; as ``export_plan``, for networks of any origin.

    ``ship`` gives what the plan holds of each sigma, where that is not the module itself, with which it is compared.
    """
    check_output(output, force=spec.force)
    check_images(data, inputs[0].shape)
    with building(output, force=spec.force) as directory:
        built = []
        for sigma, module in modules.items():
            talk(f"exporting sigma {sigma} in {spec.precision}")
            shipped = ship(sigma) if ship else module
            place = _Place(directory=directory, sigma=sigma, t=origin.times.get(sigma))
            if spec.precision == "int8":
                built.append(_build_int8(place, shipped, inputs, data, talk))
            else:
                built.append(_build(place, shipped, inputs, spec.precision))
        # Sigma changes values only, and in INT8 which layers lose too many votes.
        assert spec.precision == "int8" or all(graph.fp32_islands == built[0].fp32_islands for graph in built)
        record = _record(inputs, built, origin, spec, data.name)
        for line in describe_islands(record.fp32_islands):
            talk(line)
        plan = write_plan(directory, record)
        for graph in built:
            plan.read_graph(graph.entry.sigma)  # refused here, and not where the plan is used
            if graph.program is not None:
                write_trusted(plan.cached_program(graph.entry.sigma), program_bytes(graph.program), graph.entry.sha256)
        parity = run_gate(plan, modules, data, spec.parity_draws, talk)
        plan = write_plan(directory, replace(record, parity=parity))
    return replace(plan, directory=output)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Built:
    """One sigma's graph, written, and the program that it was made from, where the plan holds that too."""

    entry: SigmaGraph
    program: ExportedProgram | None
    fp32_islands: dict[str, str]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Place:
    """Where a graph goes: the plan's folder, and of which sigma and purifier time it is."""

    directory: Path
    sigma: float
    t: float | None

    def write(self, content: bytes) -> SigmaGraph:
        """Write a graph and return what plan.json says of it."""
        entry = SigmaGraph(sigma=self.sigma, file=f"sigma-{self.sigma}.onnx", sha256=sha256_hex(content), t=self.t)
        write_atomically(self.directory / entry.file, content)
        return entry


def _build(place: _Place, module: FusedModel, inputs: tuple[GraphInput, ...], precision: Precision) -> _Built:
    half = _HALVES.get(precision)
    computed, islands = to_half(module, half) if half else (module, {})
    program = export_program(computed, inputs)
    if half and has_softmax(program):
        islands = {**islands, "(every softmax)": "sums exponentials, which PyTorch too computes in FP32 from half"}
    # ONNX's graph of a bf16 plan is in FP32: runtimes of the host choose bf16 for what they multiply, and few read it.
    content = onnx_bytes(export_program(module, inputs) if precision == "bf16" else program, inputs)
    check_graph(content, precision, islands)
    return _Built(entry=place.write(content), program=program, fp32_islands=islands)


def _build_int8(place: _Place, module: FusedModel, inputs: tuple[GraphInput, ...], data: Dataset, talk: Talk) -> _Built:
    """Return the graph with layers in INT8; PyTorch has no program of it."""
    with needing("--precision int8", "cpu"):
        from purecert.export.quantisation.exporting import quantise_graph
    require_instructions("int8")
    content = onnx_bytes(export_program(module, inputs), inputs)
    chosen = quantise_graph(content, inputs, place.sigma, data, talk)
    check_graph(chosen.content, "int8", chosen.kept)
    return _Built(entry=place.write(chosen.content), program=None, fp32_islands=chosen.kept)


def origin_of(model: Model, sigmas: tuple[float, ...]) -> Origin:
    """Return what plan.json says of ``model``."""
    times = {sigma: model.purifier.timestep(sigma) for sigma in sigmas}
    kinds = [name for name, kind in PURIFIERS.items() if type(model.purifier) is kind.module]
    return Origin(
        classes=model.classes,
        class_names=model.class_names,
        purifier=kinds[0] if kinds else type(model.purifier).__name__,
        time_rule=model.purifier.time_rule,
        times={sigma: time for sigma, time in times.items() if time is not None},
        model_sha256=model.sha256,
        sources=model.sources,
        licence=model.licence,
        choices=model.choices,
    )


def _islands(built: Sequence[_Built], precision: Precision) -> dict[str, str]:
    """Return which modules stay in FP32 and why; in INT8 the reason says at which sigma, since others may differ."""
    if precision != "int8":
        return built[0].fp32_islands
    found: dict[str, list[str]] = {}
    for graph in built:
        for path, why in graph.fp32_islands.items():
            found.setdefault(path, []).append(f"at sigma {graph.entry.sigma} {why}")
    return {path: "; ".join(reasons) for path, reasons in found.items()}


def _exporter(precision: Precision) -> tuple[str, ...]:
    """Return what made the plan's graphs; a plan that names PyTorch holds programs of it too."""
    return ("purecert", "onnx", "onnxruntime") if precision == "int8" else _EXPORTER


def _record(
    inputs: tuple[GraphInput, ...], built: Sequence[_Built], origin: Origin, spec: ExportSpec, data: str
) -> PlanRecord:
    return PlanRecord(
        schema=PLAN_SCHEMA,
        inputs=inputs,
        classes=origin.classes,
        class_names=origin.class_names,
        graphs=tuple(graph.entry for graph in built),
        precision=spec.precision,
        purifier=origin.purifier,
        time_rule=origin.time_rule,
        fp32_islands=_islands(built, spec.precision),
        logits=LOGITS,
        exporter={name: version(name) for name in _exporter(spec.precision)},
        parity=(),
        model_sha256=origin.model_sha256,
        data=data,
        sources=origin.sources,
        licence=origin.licence,
        choices=origin.choices,
    )
