"""engine-certify: an answer and a radius for each image.

Imports stay inside the functions so that ``--help`` answers at once.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from purecert.engine.commands.console import EngineCommand, talk
from purecert.engine.commands.extend import extension_options, extension_request, extension_spec
from purecert.engine.commands.options import (
    DEFAULT_BATCH,
    DEFAULT_RADII_TEXT,
    backend_options,
    combined,
    data_options,
    draw_options,
    json_option,
    parse_radii,
    plan_option,
    run_options,
    tsv_option,
)
from purecert.engine.procedures.spec import DEFAULT_PRICE, DEFAULT_RADII, SmoothingSpec, StopSpec, usual_stop

if TYPE_CHECKING:
    from purecert.engine.backends.base import BackendOptions
    from purecert.engine.running.run import RunRequest

_stop_options = combined(
    click.option(
        "--mode",
        type=click.Choice(["fixed", "radii", "tolerance"]),
        default="fixed",
        show_default=True,
        help="fixed: exactly n draws. radii: until each of --radii is certified or given up. tolerance: until the "
        "radius is within a share of the largest that the draws leave possible.",
    ),
    click.option(
        "--radii", help=f"Of mode radii: comma-separated, in [0, 1] pixel units.  [default: {DEFAULT_RADII_TEXT}]"
    ),
    click.option(
        "--price",
        type=float,
        help="Of mode radii: draws worth spending to keep one certificate that all n draws would give. 1e5 takes about "
        "half the draws of the default and loses about six certificates in a thousand, more near the largest radii.  "
        f"[default: {DEFAULT_PRICE:g}]",
    ),
    click.option("--tolerance", type=float, help="Of mode tolerance: the share, in (0, 1).  [default: 0.05]"),
    click.option(
        "--alpha-final",
        type=float,
        help="Of mode tolerance: the part of alpha for an exact bound after the last of n draws; the rest is for "
        "stopping.  [default: half of alpha]",
    ),
    click.option(
        "--alpha-refute",
        type=float,
        help="Of mode tolerance: probability of an upper bound that is too small.  [default: alpha]",
    ),
    click.option(
        "--against-label",
        is_flag=True,
        help="Certify the data's label instead of selecting a class: no draws of n0, and wrong images end early.",
    ),
)


@click.command(cls=EngineCommand)
@combined(plan_option, data_options, run_options)
@combined(draw_options, _stop_options, extension_options)
@combined(backend_options, tsv_option, json_option)
@click.pass_context
def certify_command(
    context: click.Context, /, sigma: float, alpha: float, n0: int, n: int, as_json: bool, tsv: bool, **options: Any
) -> None:
    """Certify images: an answer and a radius each, right with probability 1 - alpha (Cohen et al. 2019).

    With --extend RUN: continue the draws of a finished run that was begun with --extend-to.
    """
    if options["extend"] is not None:
        _answer(extension_request(context, options), as_json=as_json, tsv=tsv)
        return
    split = {name: options.pop(name) for name in ("extend_to", "alpha_first")}
    extension = extension_spec(mode=options["mode"], n=n, alpha=alpha, **split)
    stop, against_label = _stop_spec(options, alpha), options.pop("against_label")
    spec = SmoothingSpec(
        mode="certify",
        sigma=sigma,
        n_select=n0,
        n_estimate=n,
        alpha=alpha,
        stop=stop,
        against_label=against_label,
        extension=extension,
    )
    answer_images(spec, as_json=as_json, tsv=tsv, **options)


def _stop_spec(options: dict[str, Any], alpha: float) -> StopSpec | None:
    """Return what ``options`` say of stopping, and take it out of them; None where nothing is said.

    Raises:
        click.UsageError: An option does not belong to the mode.
        InputError: A number is out of its range.
    """
    mode, names = options.pop("mode"), ("radii", "price", "tolerance", "alpha_final", "alpha_refute")
    values = {name: options.pop(name) for name in names}
    chosen = {name: value for name, value in values.items() if value is not None}
    used = {"fixed": (), "radii": names[:2], "tolerance": names[2:]}[mode]
    for name in chosen:
        if name not in used:
            option = "--" + name.replace("_", "-")
            raise click.UsageError(f"{option} does not belong to --mode {mode}; leave it out, or choose another mode")
    if "radii" in chosen:
        chosen["radii"] = tuple(sorted(set(parse_radii(chosen["radii"]))))
    usual = usual_stop(mode, alpha)
    return None if usual is None else replace(usual, **chosen)


def answer_images(spec: SmoothingSpec, as_json: bool, tsv: bool, **options: Any) -> None:
    """Answer for the images that ``options`` name as ``spec`` says, and print the report.

    Raises:
        PurecertError: As ``execute``.
    """
    from purecert.engine.images.class_folders import labelled_for
    from purecert.engine.images.datasets import load_dataset, moved_record
    from purecert.engine.plans.plan import read_plan
    from purecert.engine.records.sources import Sources
    from purecert.engine.running.run import RunRequest

    sources = Sources(plan=options["plan"], data=options["data"], data_dir=options["data_dir"])
    plan = read_plan(sources.plan)
    dataset = labelled_for(load_dataset(sources.data, sources.data_dir), plan.record.classes, plan.record.class_names)
    request = RunRequest(
        plan=plan,
        dataset=dataset,
        spec=spec,
        backend=_backend(options),
        output=options["output"],
        seed=options["seed"],
        resume=options["resume"],
        force=options["force"],
        invocation=sources.absolute() | moved_record(dataset),
    )
    _answer(request, as_json=as_json, tsv=tsv)


def _answer(request: RunRequest, *, as_json: bool, tsv: bool) -> None:
    """Run what is asked for, and print the report."""
    from purecert.engine.records.run_directory import LOG_FILE, RUN_FILE
    from purecert.engine.reports.table import print_report
    from purecert.engine.running.progress import TerminalProgress
    from purecert.engine.running.run import execute

    dataset, spec = request.dataset, request.spec
    if tsv and dataset.labels is None:
        raise click.UsageError(f"--tsv needs labels, {dataset.name} has none; leave it out")
    if request.resume and not (request.output / RUN_FILE).exists():
        talk(f"nothing to resume in {request.output}: starting a new run")
    rows = spec.max_rows - (0 if request.extends is None else request.extends.record.spec.max_rows)
    if request.resume and dataset.labels is not None and (request.output / LOG_FILE).exists():
        tsv = True  # with more images the one there is too short
    done = execute(request, TerminalProgress(len(dataset), rows, certifies=spec.mode == "certify"))
    _talk_rounding(request)
    _talk_usage(request.output)
    if tsv:
        from purecert.engine.logs.cohen_tsv import write_cohen_tsv

        write_cohen_tsv(done)
    print_report([done], DEFAULT_RADII, as_json=as_json)


def _talk_rounding(request: RunRequest) -> None:
    """Say how far rounding to 8 bits moved images of floats; how far it moved each is kept with the run."""
    from purecert.engine.images.datasets import MOVED
    from purecert.engine.images.rounding import printed_distance
    from purecert.engine.records.run_directory import INVOCATION_FILE

    dataset = request.dataset
    if dataset.moved is None:
        return
    most = int(dataset.moved.argmax())
    talk(
        f"{dataset.name} holds floats, and answers speak of their roundings to 8 bits, at most "
        f"{printed_distance(dataset.moved[most])} away (L2 over pixels in [0, 1]; image {dataset.indices[most]})"
        + ("" if request.resume else f"; {MOVED} in {request.output / INVOCATION_FILE} has each image's distance")
    )


def _talk_usage(run_directory: Path) -> None:
    from purecert.engine.records.ledger import read_usage
    from purecert.engine.running.scheduler import Usage

    sessions = [Usage(**session) for session in read_usage(run_directory)]
    talk(f"usage: {sum(sessions[1:], sessions[0])}")


def _backend(options: dict[str, Any]) -> BackendOptions:
    from purecert.engine.backends.base import BackendOptions
    from purecert.engine.hardware import available_threads
    from purecert.engine.running.choosing import AUTO

    if options["backend"] == AUTO and options["batch"] is not None:
        raise click.UsageError("--backend auto picks the batch; leave --batch out, or name a backend")
    return BackendOptions(
        name=options["backend"],
        batch=DEFAULT_BATCH if options["batch"] is None else options["batch"],
        threads=options["threads"] or available_threads(),
        probe_rows=options["probe_rows"],
        trust=options["trust_plan"],
        repeat_check=options["repeat_check"],
    )
