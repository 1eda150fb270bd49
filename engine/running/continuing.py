"""What to ask for so that a finished run's draws are continued: all but where things lie comes from the run."""

from pathlib import Path

from purecert.engine.backends.base import BackendOptions
from purecert.engine.images.class_folders import labelled_as
from purecert.engine.images.datasets import load_dataset, moved_record
from purecert.engine.plans.plan import Plan
from purecert.engine.records.run import Run
from purecert.engine.records.run_directory import IMAGES_FILE
from purecert.engine.records.sources import Sources
from purecert.engine.running.extending import check_extended, extended_spec
from purecert.engine.running.run import RunRequest


def continuing_request(
    run: Run,
    plan: Plan,
    sources: Sources,
    *,
    output: Path,
    resume: bool,
    force: bool,
    trust: bool = False,
    repeat_check: bool = False,
) -> RunRequest:
    """Return the request that continues the draws of ``run`` into ``output``.

    Args:
        run: As read; it is left as it is. Images that it keeps are kept with the new run too.
        plan: The run's, from where it lies now.
        sources: Where plan and data lie now.
        output: The new run directory.
        resume: Continue what is there.
        force: Replace what is there.
        trust: Load cached programs that this machine did not make.
        repeat_check: Do the row check though its result is cached.

    Raises:
        InputError: The run cannot be extended, or its data are not found.
    """
    check_extended(run, output)
    dataset = load_dataset(sources.data, sources.data_dir)
    data, backend, images = run.record.data, run.record.backend, None
    dataset = labelled_as(
        *(dataset, plan.record.classes, plan.record.class_names),
        name=data.name,
        fingerprint=data.fingerprint,
        data_classes=data.classes,
    )
    kind, _, place = (sources.data or "").partition(":")
    if kind == "npz" and place and Path(place).resolve() == (run.directory / IMAGES_FILE).resolve():
        images = (run.directory / IMAGES_FILE).read_bytes()
        sources = sources.moved(None, f"npz:{output / IMAGES_FILE}", None)
    options = BackendOptions(
        name=backend.name,
        batch=backend.batch,
        threads=backend.threads,
        probe_rows=backend.probe_rows,
        trust=trust,
        repeat_check=repeat_check,
    )
    return RunRequest(
        plan=plan,
        dataset=dataset,
        spec=extended_spec(run),
        backend=options,
        output=output,
        resume=resume,
        force=force,
        invocation=sources.absolute() | moved_record(dataset),
        images=images,
        extends=run,
    )
