"""A finished run whose draws are continued into a new run directory: each image from its first look on."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from purecert.engine.errors import InputError
from purecert.engine.noise.contract import ESTIMATE, SELECT
from purecert.engine.procedures.extending import continued, extended
from purecert.engine.procedures.spec import SmoothingSpec
from purecert.engine.records.changes import refuse_changes
from purecert.engine.records.lines import dense_counts
from purecert.engine.records.run import Run
from purecert.engine.records.run_record import RunRecord
from purecert.engine.running.scheduler import Job


def extended_spec(run: Run) -> SmoothingSpec:
    """Return the sampling plan of the run that continues the draws of ``run``.

    Raises:
        InputError: The run cannot be extended.
    """
    try:
        return extended(run.record.spec)
    except InputError as error:
        raise InputError(f"{run.directory}: expected a run that may be extended: {error}") from error


def check_extended(run: Run, output: Path) -> None:
    """Refuse to extend ``run`` into ``output`` where it is not whole, or would be written to.

    Raises:
        InputError: The run cannot be extended, is not finished, or has ``output`` in it.
    """
    _ = extended_spec(run)
    if len(run.lines) < run.record.data.images:
        raise InputError(
            f"{run.directory}: expected a finished run to extend, found {len(run.lines)} of "
            f"{run.record.data.images} images; finish it with --resume"
        )
    if run.record.data.earlier:
        raise InputError(
            f"{run.directory}: expected a run of the images that it began with, found one that was continued to more; "
            "start a new run"
        )
    new = output.resolve()
    if run.directory.resolve() in (new, *new.parents):
        raise InputError(f"{output}: expected a directory outside that of the run to extend; choose another --out")


def refuse_other(run: Run, record: RunRecord) -> None:
    """Refuse to extend ``run`` as ``record`` where plan, data, engine or options are others than the run's.

    Raises:
        InputError: A field differs; the message names it.
    """
    refuse_changes(replace(run.record, spec=extended_spec(run)), record, run.directory, "extend")


def after_first_looks(run: Run, jobs: Iterable[Job]) -> Iterator[Job]:
    """Yield ``jobs``, of images of ``run`` and of their continued draws, each from the run's last draw on."""
    lines = {line.index: line for line in run.lines}
    phases = (SELECT, ESTIMATE) if run.record.spec.selects else (ESTIMATE,)
    for job in jobs:
        counts = [dense_counts(phase, run.record.classes) for phase in lines[job.image_index].counts]
        yield replace(job, procedure=continued(job.procedure, counts), drawn=dict(zip(phases, counts, strict=True)))
