"""One run from start to end: plan and data in, a run directory out."""

import logging
import secrets
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from time import perf_counter

from purecert.engine.backends.base import Backend, BackendInfo, BackendOptions
from purecert.engine.backends.opening import open_backend
from purecert.engine.errors import InputError
from purecert.engine.images.class_folders import named_as
from purecert.engine.images.datasets import Dataset, without_slice
from purecert.engine.noise.inputs import total_variation
from purecert.engine.noise.paths import active_path
from purecert.engine.plans.plan import Plan
from purecert.engine.procedures.choosing import check_asked, check_rule, looks_of, procedure_for
from purecert.engine.procedures.placement import is_sound, placed
from purecert.engine.procedures.spec import DEFAULT_LEAST_CHANCE, DEFAULT_PRICE, SmoothingSpec
from purecert.engine.procedures.tables.rule import tables_are_too_large, with_tables
from purecert.engine.records.invalid_rows import check_invalid, invalid_of
from purecert.engine.records.ledger import Ledger, opened_run
from purecert.engine.records.lines import Line, sparse_counts
from purecert.engine.records.run import Run
from purecert.engine.records.run_record import RunRecord, make_record
from purecert.engine.running.choosing import chosen_backend
from purecert.engine.running.extending import after_first_looks, check_extended, refuse_other
from purecert.engine.running.kept_tables import table_maker
from purecert.engine.running.progress import Progress
from purecert.engine.running.scheduler import Finished, Job, Scheduler

_SEED_BITS = 64
_log = logging.getLogger("purecert")


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
    images: bytes | None = None  # an archive of images from memory, to be kept with the run
    extends: Run | None = None  # whose draws are continued, as ``spec`` says; it is read, and left as it is


def execute(request: RunRequest, progress: Progress) -> Run:
    """Certify (or predict) the request's images into its run directory and return the run.

    Everything is checked, and the backend opened, before the output directory is touched. Where rows have fixed places
    in a batch, draws are rounded up to whole batches (``procedures/placement.py``), and the record holds those.

    Raises:
        InputError: Plan, data, options or output directory do not fit.
        BackendError: The backend is missing or fails.
        CheckError: The backend's rows depend on each other, or too many of the run's rows are not finite.
    """
    _check_labels(request)
    _check_place(request)
    if request.extends is not None:
        check_extended(request.extends, request.output)
    plan, dataset, spec = request.plan, request.dataset, request.spec
    check_asked(spec, total_variation(plan.noise_elements, spec.sigma))
    with opened_run(request.output, resume=request.resume, force=request.force) as ledger:
        seed, seed_given = _seed(request, ledger.seed)
        stored = None if ledger.stored is None else ledger.stored.backend
        options = chosen_backend(plan, spec.sigma, dataset.images, request.backend, stored)
        backend = open_backend(
            *(plan, spec.sigma, seed, options, dataset.images, dataset.indices),
            expected_rows=spec.expected_rows * len(dataset),
            keeps_check=not seed_given,
        )
        with closing(backend):
            spec = _tabled(_placed(spec, backend.info, ledger.stored), plan, backend.info, ledger.stored)
            spec = _giving_up(spec, ledger.stored)
            check_rule(spec, total_variation(plan.noise_elements, spec.sigma))
            dataset = dataset if ledger.stored is None else named_as(dataset, ledger.stored.data.name)
            record = make_record(plan, dataset, spec, backend.info, seed=seed, seed_given=seed_given)
            if request.extends is not None:
                refuse_other(request.extends, record)
            elif request.images is None:  # what came from memory is kept with the run as it was
                record = ledger.with_more_images(record, dataset)
            # Beside the run, not in run.json: a run repeated with its seed has the same bytes, cached check or not.
            beside = {"noise": active_path(), "row_check": backend.row_check}
            ledger.begin(record, request.invocation | beside, request.images)
            _certify_rest(ledger, backend, dataset, progress, request.extends)
            return ledger.finished()


def _placed(spec: SmoothingSpec, info: BackendInfo, stored: RunRecord | None) -> SmoothingSpec:
    """Return ``spec`` as it is run where ``info`` places rows, and say on stderr what it changes."""
    is_static = info.placement == "static"
    if is_static and spec.tables:
        raise InputError("expected no stopping tables where a row's result may depend on its place; leave them out")
    fitted = placed(spec, is_static=is_static, batch=info.batch)
    if stored is not None and stored.backend == info and stored.spec.step != fitted.step:
        return _as_older(spec, is_static=is_static, batch=info.batch)
    if replace(fitted, step=spec.step, stop=spec.stop) != spec:
        selected = f" and n0 = {fitted.n_select}" if fitted.selects else ""
        last = "" if fitted.extension is None else f", to be extended to {fitted.extension.n_last}"
        _log.warning(
            "a row's result may depend on its place in the batch, so draws come in whole batches of %d: n = %d%s%s",
            *(info.batch, fitted.n_estimate, selected, last),
        )
    return fitted


def _tabled(spec: SmoothingSpec, plan: Plan, info: BackendInfo, stored: RunRecord | None) -> SmoothingSpec:
    """Return ``spec`` with its stopping tables; a resumed run keeps its own, whatever would be made of it today."""
    if info.placement == "static" or spec.stop is None or spec.stop.rule != "radii":
        return spec
    tv = total_variation(plan.noise_elements, spec.sigma)
    if stored is not None:
        return _stopped_as(spec, stored.spec, tv)
    return with_tables(spec, tv, table_maker(plan))


def _stopped_as(spec: SmoothingSpec, stored: SmoothingSpec, tv: float) -> SmoothingSpec:
    """Return ``spec`` with the tables of the run that it continues, if it is the same run; else as it is.

    Raises:
        InputError: The price differs, and nothing else of ``spec``.
    """
    if _asks_the_same(spec, stored, tv):
        return replace(spec, stop=stored.stop)
    if spec.stop is not None and stored.stop is not None and stored.stop.price is not None:
        at_its_price = replace(spec, stop=replace(spec.stop, price=stored.stop.price))
        if _asks_the_same(at_its_price, stored, tv):
            asked = DEFAULT_PRICE if spec.stop.price is None else spec.stop.price
            raise InputError(
                f"expected --price {stored.stop.price:.17g}, at which the run was begun, got {asked:.17g}; resume at "
                "that price, or start a new run"
            )
    return spec


def _asks_the_same(asked: SmoothingSpec, stored: SmoothingSpec, tv: float) -> bool:
    """Return whether a run that stops as ``stored`` says is one of what is ``asked``.

    A run of before there were tables has no price, and is continued where none but the default is asked for. Neither
    has one of the bound that holds at every n because tables would be too large; it is continued at any price.
    """
    if asked.stop is None or stored.stop is None or replace(asked, stop=None) != replace(stored, stop=None):
        return False
    if asked.stop.radii != stored.stop.radii:
        return False
    price = DEFAULT_PRICE if asked.stop.price is None else asked.stop.price
    has_no_use_for_it = stored.stop.price is None and tables_are_too_large(asked, tv)
    return has_no_use_for_it or price == (stored.stop.price or DEFAULT_PRICE)


def _giving_up(spec: SmoothingSpec, stored: RunRecord | None) -> SmoothingSpec:
    """Return ``spec`` with the chance at which the run that it continues gives up.

    A run of before there was one has none, and is continued where none but the default is asked for.
    """
    began = None if stored is None else stored.spec.stop
    if spec.stop is None or began is None or began.least_chance is not None:
        return spec
    is_default = spec.stop.least_chance == DEFAULT_LEAST_CHANCE
    return replace(spec, stop=replace(spec.stop, least_chance=None)) if is_default else spec


def _as_older(spec: SmoothingSpec, *, is_static: bool, batch: int) -> SmoothingSpec:
    """Return ``spec`` for a run that an older version began, whose draws may end inside a batch."""
    if is_sound(spec, is_static=is_static, batch=batch):
        return spec
    raise InputError(
        "the run was begun by a version that looked at draws inside a batch, which is not sound where a row's result "
        "may depend on its place (docs/placement.md); start a new run"
    )


def _certify_rest(ledger: Ledger, backend: Backend, dataset: Dataset, progress: Progress, extends: Run | None) -> None:
    """Append the lines of the images that are not there yet."""
    _check_order(ledger.lines, dataset)
    for line in ledger.lines:
        progress.image(line)
    record, invalid = ledger.run.record, invalid_of(ledger.lines)
    check_invalid(invalid, record, len(ledger.lines))
    scheduler, began = Scheduler(backend, progress.rows), perf_counter()
    try:
        jobs = _jobs(record, dataset, first=len(ledger.lines))
        for finished in scheduler.run(jobs if extends is None else after_first_looks(extends, jobs)):
            line = _line(finished)
            # Many images share each batch; the time since the last end is what this one added to the run.
            ledger.append(line, perf_counter() - began)
            began = perf_counter()
            progress.image(line)
            invalid += invalid_of([line])
            check_invalid(invalid, record, len(ledger.lines))
    finally:
        ledger.append_usage(asdict(scheduler.usage))


def _jobs(record: RunRecord, dataset: Dataset, first: int) -> Iterator[Job]:
    looks = looks_of(record.spec, record.tv)
    for position in range(first, len(dataset)):
        label = dataset.label(position)
        yield Job(
            image_index=int(dataset.indices[position]),
            label=label,
            pixels=dataset.images[position],
            procedure=procedure_for(record.spec, record.tv, label),
            looks=looks,
        )


def _line(finished: Finished) -> Line:
    job = finished.job
    counts = tuple(sparse_counts(finished.counts[phase]) for phase in sorted(finished.counts))
    return Line(index=job.image_index, label=job.label, outcome=finished.outcome, counts=counts, looks=finished.looks)


def _seed(request: RunRequest, stored: tuple[int, bool] | None) -> tuple[int, bool]:
    """Return the run's seed and whether it was given by hand; a resumed run keeps the one that is ``stored``."""
    if request.extends is not None:
        return request.extends.record.seed, request.extends.record.seed_given
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


def _check_place(request: RunRequest) -> None:
    """Refuse to delete the images that the run is of."""
    _, _, path = without_slice(str(request.invocation.get("data", ""))).partition(":")
    lies_in_run = path and request.output.resolve() in Path(path).resolve().parents
    if request.force and request.images is None and lies_in_run:
        raise InputError(f"{request.output}: the images lie in the run that --force would delete; copy them first")


def _check_order(done: Sequence[Line], dataset: Dataset) -> None:
    if [line.index for line in done] != dataset.indices[: len(done)].tolist():
        raise InputError("expected the ledger's images in the data's order; the run cannot be resumed")
