"""One run from start to end: plan and data in, a run directory out."""

import secrets
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter

import numpy as np

from purecert.engine.backends.opening import open_backend
from purecert.engine.backends.registry import BackendOptions
from purecert.engine.errors import InputError
from purecert.engine.images.datasets import Dataset
from purecert.engine.noise.inputs import total_variation
from purecert.engine.noise.rows import active_path
from purecert.engine.plans.plan import Plan
from purecert.engine.procedures.choosing import check_rule, procedure_for
from purecert.engine.procedures.spec import SmoothingSpec
from purecert.engine.records.counts import sparse_counts
from purecert.engine.records.ledger import Run, check_output, clear_run, open_ledger, read_run, stored_seed
from purecert.engine.records.lines import Row
from purecert.engine.records.recording import make_record
from purecert.engine.records.run_record import RunRecord
from purecert.engine.running.scheduler import Finished, Job, Scheduler

_SEED_BITS = 64


class Progress(ABC):
    """Hears how a run goes on."""

    @abstractmethod
    def rows(self, count: int) -> None:
        """``count`` more noisy rows were counted."""

    @abstractmethod
    def image(self, row: Row) -> None:
        """One more image is finished and in the ledger."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RunRequest:
    """Everything that one run is asked for."""

    plan: Plan
    dataset: Dataset
    spec: SmoothingSpec
    backend: BackendOptions
    output: Path
    seed: int | None = None  # None: from the system's entropy, once
    resume: bool = False
    force: bool = False
    invocation: dict[str, object]  # where plan and data lie; kept beside the run, fixes nothing


def execute(request: RunRequest, progress: Progress) -> Run:
    """Certify (or predict) the request's images into its run directory and return the run.

    Everything is checked, and the backend opened, before the output directory is touched.

    Raises:
        InputError: Plan, data, options or output directory do not fit.
        BackendError: The backend is missing or fails.
        CheckError: The backend's rows depend on each other.
    """
    check_output(request.output, resume=request.resume, force=request.force)
    _check_labels(request)
    check_rule(request.spec, total_variation(request.plan.noise_elements, request.spec.sigma))
    seed, seed_given = _seed(request)
    plan, dataset, spec = request.plan, request.dataset, request.spec
    backend = open_backend(plan, spec.sigma, seed, request.backend, dataset.images, dataset.indices)
    with closing(backend):
        record = make_record(plan, dataset, spec, backend.info, seed=seed, seed_given=seed_given)
        if request.force:
            clear_run(request.output)
        with open_ledger(request.output, record, request.invocation | {"noise": active_path()}) as ledger:
            done = {row.index: row for row in read_run(request.output).rows}
            _check_order(done, dataset)
            for row in done.values():
                progress.image(row)
            scheduler = Scheduler(backend, progress.rows)
            began = perf_counter()
            try:
                for finished in scheduler.run(_jobs(dataset, spec, record, len(done))):
                    row = _row(finished, dataset)
                    # Many images share each batch; the time since the last end is what this one added to the run.
                    ledger.append(row, perf_counter() - began)
                    began = perf_counter()
                    progress.image(row)
            finally:
                ledger.append_usage(asdict(scheduler.usage))
    return read_run(request.output)


def label_of(dataset: Dataset, image_index: int) -> int | None:
    """Return the data's label of an image by its index in the whole data set; None where the data has none."""
    if dataset.labels is None:
        return None
    return int(dataset.labels[np.flatnonzero(dataset.indices == image_index)[0]])


def _jobs(dataset: Dataset, spec: SmoothingSpec, record: RunRecord, done: int) -> Iterator[Job]:
    tv = total_variation(record.noise_elements, spec.sigma)
    for position in range(done, len(dataset)):
        yield Job(
            image_index=int(dataset.indices[position]),
            pixels=dataset.images[position],
            procedure=procedure_for(spec, tv, label_of(dataset, int(dataset.indices[position]))),
        )


def _row(finished: Finished, dataset: Dataset) -> Row:
    label = label_of(dataset, finished.image_index)
    counts = tuple(sparse_counts(finished.counts[phase]) for phase in sorted(finished.counts))
    return Row(index=finished.image_index, label=label, outcome=finished.outcome, counts=counts, looks=finished.looks)


def _seed(request: RunRequest) -> tuple[int, bool]:
    """Return the run's seed and whether a hand chose it; a resumed run keeps its own."""
    stored = stored_seed(request.output) if request.resume else None
    if stored is not None:
        if request.seed is not None and request.seed != stored[0]:
            raise InputError(f"{request.output}: the run has seed {stored[0]}, got {request.seed}; leave out --seed")
        return stored
    if request.seed is None:
        return secrets.randbits(_SEED_BITS), False
    if not 0 <= request.seed < 2**_SEED_BITS:
        raise InputError(f"expected a seed in [0, 2^64), got {request.seed}")
    return request.seed, True


def _check_labels(request: RunRequest) -> None:
    dataset, classes = request.dataset, request.plan.record.classes
    if request.spec.against_label and dataset.labels is None:
        raise InputError(f"{dataset.name}: expected labels to certify against, found none; leave out --against-label")
    if len(dataset) == 0:
        raise InputError(f"{dataset.name}: expected at least one image, the slice holds none")
    if dataset.labels is not None and int(dataset.labels.max()) >= classes:
        raise InputError(
            f"{dataset.name}: expected labels below {classes} (the plan's classes), found {int(dataset.labels.max())}; "
            "choose the data set that the model was made for"
        )


def _check_order(done: dict[int, Row], dataset: Dataset) -> None:
    expected = [int(index) for index in dataset.indices[: len(done)]]
    if list(done) != expected:
        raise InputError("expected the ledger's images in the data's order; the run cannot be resumed")
