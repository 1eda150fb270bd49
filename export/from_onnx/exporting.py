"""A plan from ONNX files: a classifier, perhaps after a denoiser, joined as graphs; PyTorch has no part in it."""

from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

from purecert.engine.backends.base import BackendOptions
from purecert.engine.backends.opening import open_backend
from purecert.engine.errors import CheckError, InputError
from purecert.engine.files.canonical import sha256_hex, write_atomically
from purecert.engine.images.datasets import Dataset
from purecert.engine.plans.graph_check import check_graph as check_plan_graph
from purecert.engine.plans.plan import PLAN_SCHEMA, GraphInput, Plan, PlanRecord, SigmaGraph, ends_of, write_plan
from purecert.export.from_onnx.joining import joined
from purecert.export.from_onnx.reading import OnnxPipeline
from purecert.export.from_onnx.reference import OnnxReference
from purecert.export.gate.parity import Talk, check_images, run_gate
from purecert.export.graph.kept_nan import keep_nan
from purecert.export.graph.program import LOGITS
from purecert.export.graph.rules import check_graph
from purecert.export.output import building, check_output
from purecert.export.own_choices import image_choices
from purecert.export.pipeline import ExportSpec

_ROW_CHECK_BATCH = 64
_DENOISER = (
    "denoiser: takes the input range and no time, gives clean images of it, not limited; mean and std come after"
)


def export_onnx(
    pipeline: OnnxPipeline,
    spec: ExportSpec,
    data: Dataset,
    output: Path,
    source: str,
    talk: Talk = lambda line: None,
    *,
    class_names: tuple[str, ...] = (),
) -> Plan:
    """Return the plan of ``pipeline``, after its rows were checked and its votes compared with the files' own.

    The reference is the files as they are, one after the other in ONNX Runtime in FP32, with the images prepared by
    NumPy, since there is no eager model. The plan holds no PyTorch program.

    Args:
        pipeline: What is exported; the same graph for each sigma.
        spec: Of FP32.
        data: Images for the comparison.
        output: Plan directory to write.
        source: What plan.json says the graph was made from.
        talk: Hears what is being done and what was chosen, a line at a time.
        class_names: Of the classes, in order; none where they have no names.

    Raises:
        InputError: ``output`` is not free, the names are not as many as the classes, or the graph holds what no plan
            may, or does not fit the images.
        CheckError: Votes differ, or rows depend on each other; nothing is left at ``output``.
    """
    if spec.precision != "fp32":
        raise InputError(f"{source}: an ONNX file is exported in FP32 as it is; add --precision fp32")
    check_output(output, force=spec.force)
    channels, height, width = (int(length) for length in data.images.shape[1:])
    inputs = (GraphInput(name="pixels", shape=(channels, height, width), dtype="float32"),)
    check_images(data, inputs[0].shape)
    model = joined(pipeline, inputs[0].shape)
    keep_nan(model)
    content = model.SerializeToString(deterministic=True)
    check_graph(content, "fp32", {})
    reference = OnnxReference(pipeline)
    classes = reference.classes(data.images[:2])
    if class_names and len(class_names) != classes:
        raise InputError(f"expected {classes} class names or none, got {len(class_names)}")
    with building(output, force=spec.force) as directory:
        graphs = []
        for sigma in spec.sigmas:
            graphs.append(SigmaGraph(sigma=sigma, file=f"sigma-{sigma}.onnx", sha256=sha256_hex(content), t=None))
            write_atomically(directory / graphs[-1].file, content)
        choices = _choices(pipeline, (height, width))
        record = _record(inputs, classes, tuple(graphs), data.name, source, class_names, pipeline, choices)
        plan = write_plan(directory, record)
        _check_content(content, record, source)
        for line in choices:
            talk(f"chosen: {line}")
        talk("no PyTorch program is part of a plan from ONNX; it runs in ONNX Runtime")
        _check_rows(plan, spec.sigmas[0], data)
        try:
            parity = run_gate(plan, dict.fromkeys(spec.sigmas, reference), data, spec.parity_draws, talk)
        except CheckError as error:
            if not pipeline.is_converted:
                raise
            words = f"an older opset was converted, and {error}; export the file with opset 18 or newer"
            raise CheckError(f"{source}: {words}") from error
        plan = write_plan(directory, replace(record, parity=parity))
    return replace(plan, directory=output)


def _check_content(content: bytes, record: PlanRecord, source: str) -> None:
    """Refuse here, and not where the plan is used, what no plan may hold; name the user's file."""
    try:
        check_plan_graph(content, ends_of(record))
    except InputError as error:
        reason = str(error).rpartition("; ")[0]  # what follows is for plans that were made elsewhere
        raise InputError(f"{source}: {reason}; export the ONNX file otherwise, in eval mode") from error


def _check_rows(plan: Plan, sigma: float, data: Dataset) -> None:
    """Refuse a graph in which rows depend on each other, before anything is compared."""
    options = BackendOptions(name="onnxruntime", batch=_ROW_CHECK_BATCH, threads=1, probe_rows=4 * _ROW_CHECK_BATCH)
    open_backend(plan, sigma, 0, options, data.images, data.indices).close()


def _record(
    inputs: tuple[GraphInput, ...],
    classes: int,
    graphs: tuple[SigmaGraph, ...],
    data: str,
    source: str,
    class_names: tuple[str, ...],
    pipeline: OnnxPipeline,
    choices: tuple[str, ...],
) -> PlanRecord:
    return PlanRecord(
        schema=PLAN_SCHEMA,
        inputs=inputs,
        classes=classes,
        class_names=class_names,
        graphs=graphs,
        precision="fp32",
        purifier="identity" if pipeline.denoiser is None else "onnx",
        time_rule="none",
        fp32_islands={},
        logits=LOGITS,
        exporter={name: version(name) for name in ("purecert", "onnx")},
        parity=(),
        model_sha256="",
        data=data,
        sources=(source,),
        licence="",
        choices=choices,
    )


def _choices(pipeline: OnnxPipeline, shape: tuple[int, int]) -> tuple[str, ...]:
    """Return what was assumed of the files, a line each."""
    neutral = (set(pipeline.mean) == {0.0}, set(pipeline.std) == {1.0})
    mean, std = (None if unused else v for unused, v in zip(neutral, (pipeline.mean, pipeline.std), strict=True))
    parts = {"denoiser": pipeline.denoiser, "classifier": pipeline.classifier}
    converted = [name for name, part in parts.items() if part is not None and part.is_converted]
    said = [] if pipeline.denoiser is None else [_DENOISER]
    said += [f"opset of the {name}: older than a plan's, so it was converted" for name in converted]
    return (*image_choices(pipeline.input_range, mean, std, shape, None), *said)
