"""The command of the export layer: engine-export.

Imports stay inside the functions so that ``--help`` answers at once.
"""

from __future__ import annotations

import json
import sys
from contextlib import redirect_stdout
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from purecert.engine.commands.console import EngineCommand, talk
from purecert.engine.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from purecert.engine.backends.tensorrt.cache import EngineFile
    from purecert.engine.images.datasets import Dataset
    from purecert.engine.plans.plan import Plan, Precision
    from purecert.export.modules import Sees
    from purecert.export.pipeline import ExportSpec
    from purecert.train.models.checkpoints import Model


@click.command(cls=EngineCommand)
@click.argument("model_name", metavar="MODEL")
@click.option(
    "-o", "--out", "--output", "output", type=click.Path(path_type=Path), required=True, help="Plan directory to write."
)
@click.option(
    "--sigma",
    "sigma_texts",
    multiple=True,
    required=True,
    help="Noise std in [0, 1] pixel units; 0.25,0.5 or repeated.",
)
@click.option(
    "--data",
    metavar="NAME[:SPLIT][SLICE]",
    help="Real images for the parity gate, at least 20.  [default: the set that MODEL names]",
)
@click.option("--data-dir", type=click.Path(path_type=Path), help="Where a named data set's files lie.")
@click.option("--precision", type=click.Choice(["fp16", "fp32", "bf16", "int8"]), default="fp16", show_default=True)
@click.option(
    "--parity-draws",
    default=20_000,
    show_default=True,
    help="Noisy draws of the parity gate; a plan with fewer is marked.",
)
@click.option("--tensorrt", "for_tensorrt", is_flag=True, help="Also build TensorRT engines, for the GPU that is here.")
@click.option("--tensorrt-rtx", "for_rtx", is_flag=True, help="Also build TensorRT-RTX engines.")
@click.option("--batch", type=int, help="Rows that an engine takes in one call.  [default: 256]")
@click.option(
    "--gpu", metavar="sm_NN", help="Compute capability that --tensorrt-rtx builds for.  [default: this GPU's]"
)
@click.option(
    "--builder-level", type=int, metavar="0..5", help="How long the builder searches; 5 is longest.  [default: 3]"
)
@click.option("--workspace-mib", type=int, help="Scratch memory that a layer may use.  [default: all that there is]")
@click.option(
    "--input-range",
    nargs=2,
    type=float,
    metavar="LOW HIGH",
    help="Own models: what pixels 0 and 255 are.  [default: 0 1]",
)
@click.option("--mean", metavar="M[,M...]", help="Own models: per channel, subtracted in units of --input-range.")
@click.option("--std", metavar="S[,S...]", help="Own models: per channel, divided by after that.")
@click.option("--size", type=int, help="Own models: height and width that they take, if not the images'.")
@click.option("--class-names", metavar="NAME[,NAME...]", help="Own models: of the classes, in their order.")
@click.option(
    "--denoiser",
    type=click.Path(path_type=Path),
    help="An ONNX denoiser before an ONNX classifier, of --input-range too.",
)
@click.option("--trust", "trusts", is_flag=True, help="Load a .pt2 program, which is code.")
@click.option("--force", is_flag=True, help="Replace the plan in --out.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON object.")
def export_command(
    model_name: str,
    output: Path,
    sigma_texts: tuple[str, ...],
    data: str | None,
    data_dir: Path | None,
    precision: Precision,
    parity_draws: int,
    for_tensorrt: bool,
    for_rtx: bool,
    batch: int | None,
    gpu: str | None,
    builder_level: int | None,
    workspace_mib: int | None,
    force: bool,
    as_json: bool,
    trusts: bool,
    **sees: Any,
) -> None:
    """Fuse the purifier and classifier of MODEL into one graph per sigma.

    MODEL is a model.pt or 'demo'; or a classifier of your own: python:FILE.py:NAME runs that file and takes the module
    NAME, FILE.onnx is taken as a graph (nothing in it is code), and FILE.pt2 is a program of torch.export (code: with
    --trust only).

    The plan appears only if its votes on noisy draws of real images agree with eager FP32.
    """
    sigmas = tuple(_parse_sigma(part) for text in sigma_texts for part in text.split(","))
    from purecert.engine.images.datasets import load_dataset
    from purecert.export.engines import ENGINE_BATCH, add_engines, build_options, engine_targets
    from purecert.export.output import check_output
    from purecert.export.own_models import is_own
    from purecert.export.pipeline import ExportSpec, export_plan

    spec = ExportSpec(sigmas=sigmas, precision=precision, parity_draws=parity_draws, force=force)
    check_output(output, force=force)
    options = build_options(builder_level, workspace_mib, has_engines=for_tensorrt or for_rtx)
    if (for_tensorrt or for_rtx) and precision in ("bf16", "int8"):
        raise InputError(f"engines are built of plans in fp16 and fp32, not in {precision}; choose one of these")
    targets = engine_targets(for_tensorrt=for_tensorrt, for_rtx=for_rtx, batch=batch, gpu=gpu)
    if is_own(model_name):
        if targets:
            raise InputError("engines are built ahead for a model.pt only; leave --tensorrt and --tensorrt-rtx out")
        with redirect_stdout(sys.stderr):  # what the user's own code prints is no result
            plan = _export_own(model_name, sees, spec, data, data_dir, output, trusts=trusts)
        _print_plan(plan, [], as_json=as_json)
        return
    if given := [f"--{name.replace('_', '-')}" for name, value in sees.items() if value is not None]:
        raise InputError(f"expected {given[0]} with a model of your own only; {model_name} says it itself")
    model = _load_model(model_name)
    images = load_dataset(_data_name(data, model), data_dir)
    plan = export_plan(model, spec, images, output, talk)
    engines: list[EngineFile] = []
    for library, target in targets.items():
        rows = ENGINE_BATCH if batch is None else batch
        # --gpu is TensorRT-RTX's alone: TensorRT builds for the GPU here.
        is_here = library == "tensorrt" or gpu is None
        plan, built = add_engines(plan, library, target, rows, options, model, spec, images, talk, is_here=is_here)
        engines += built
    _print_plan(plan, engines, as_json=as_json)


def _export_own(
    name: str,
    sees: dict[str, Any],
    spec: ExportSpec,
    data: str | None,
    data_dir: Path | None,
    output: Path,
    *,
    trusts: bool,
) -> Plan:
    from purecert.engine.images.datasets import load_dataset
    from purecert.export.modules import Sees, export_own, own_model
    from purecert.export.own_models import is_onnx, own_module, source_of

    if data is None:
        raise InputError("expected --data, at least 20 real images of the shape that your model takes")
    lists = {name: None if sees[name] is None else _numbers(f"--{name}", sees[name]) for name in ("mean", "std")}
    seen = Sees(input_range=sees["input_range"] or (0.0, 1.0), size=sees["size"], **lists)
    images, text = load_dataset(data, data_dir), sees["class_names"]
    class_names = () if text is None else tuple(part.strip() for part in text.split(","))
    if is_onnx(name):
        return _export_onnx(name, sees["denoiser"], seen, spec, images, output, class_names)
    if sees["denoiser"] is not None:
        raise InputError("expected --denoiser with an ONNX classifier only; join modules with purecert.export_module")
    module = own_module(name, trusts=trusts, precision=spec.precision)
    model = own_model(module, seen, images, spec, class_names=class_names, source=source_of(name))
    return export_own(model, spec, images, output, talk)


def _export_onnx(
    name: str,
    denoiser: Path | None,
    sees: Sees,
    spec: ExportSpec,
    images: Dataset,
    output: Path,
    class_names: tuple[str, ...],
) -> Plan:
    from purecert.export.from_onnx.exporting import export_onnx
    from purecert.export.from_onnx.reading import OnnxPipeline, read_onnx

    if sees.size is not None:
        raise InputError("expected no --size with an ONNX file, whose graph is taken as it is; resize inside of it")
    mean, std = sees.normalisation(images.images.shape[1])
    pipeline = OnnxPipeline(
        classifier=read_onnx(Path(name)),
        denoiser=None if denoiser is None else read_onnx(denoiser),
        input_range=sees.input_range,
        mean=mean,
        std=std,
    )
    source = Path(name).name if denoiser is None else f"{denoiser.name}, {Path(name).name}"
    return export_onnx(pipeline, spec, images, output, source, talk, class_names=class_names)


def _numbers(option: str, text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError as error:
        raise InputError(f"expected {option} as numbers with commas between them, got {text!r}") from error


def _parse_sigma(text: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise InputError(f"expected --sigma as a number, or several with commas, got {text!r}") from error


def _load_model(name: str) -> Model:
    from purecert.export.ways_out import way_out
    from purecert.train.models.checkpoints import demo_model_path, load_model

    try:
        return load_model(demo_model_path() if name == "demo" else Path(name))
    except InputError as error:
        if words := way_out(Path(name)):
            raise InputError(f"{error}; {words}") from error
        raise


def _data_name(data: str | None, model: Model) -> str:
    if data is not None:
        return data
    if model.data is None:
        raise InputError("expected --data, since the model file names no data set; give at least 20 real images")
    talk(f"parity images: {model.data}, which the model file names")
    return model.data


def _print_plan(plan: Plan, engines: Sequence[EngineFile], *, as_json: bool) -> None:
    from purecert.export.gate.tally import describe

    record = plan.record
    if as_json:
        content = {"plan": str(plan.directory), "digest": plan.digest, **asdict(record)}
        click.echo(json.dumps(content | {"engines": [engine.told() for engine in engines]} if engines else content))
        return
    for graph in record.graphs:
        click.echo(f"{plan.directory / graph.file}: sigma {graph.sigma}, {record.precision}")
    for parity in record.parity:
        click.echo(f"parity on {describe(parity)}")
    for engine in engines:
        click.echo(f"{engine.path}: {engine.report.summary()}")
