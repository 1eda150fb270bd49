"""A run checked afterwards: its form, its arithmetic, and (for a share of its images) its votes."""

import math
import secrets
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass

import numpy as np

from purecert.engine.backends.base import Backend, BackendInfo
from purecert.engine.backends.opening import BackendOptions, open_backend
from purecert.engine.certificates import Outcome, Row
from purecert.engine.counts import dense_counts, sparse_counts
from purecert.engine.datasets import Dataset
from purecert.engine.errors import InputError
from purecert.engine.ledger import Run
from purecert.engine.noise_inputs import total_variation
from purecert.engine.plan import Plan
from purecert.engine.procedures import certificate, prediction
from purecert.engine.running import label_of, procedure_for
from purecert.engine.scheduler import Job, Scheduler


@dataclass(frozen=True, kw_only=True, slots=True)
class Verification:
    """What was checked and what was wrong."""

    images: int  # lines whose form and arithmetic were checked
    replayed: int  # images whose noise and graph were run again
    exact: bool  # the replay ran on the engine that the run names, so every vote must agree
    differing_labels: int  # at least this many of the replayed draws got another label
    replayed_draws: int
    problems: tuple[str, ...]  # one line each; empty means verified

    @property
    def verified(self) -> bool:
        """Return whether nothing was found wrong."""
        return not self.problems


def verify_run(
    run: Run, plan: Plan, dataset: Dataset, *, share: float, threads: int, trust: bool = False, strict: bool = False
) -> Verification:
    """Check ``run`` against the plan and the data it names, and replay ``share`` of its images (at least one).

    Which images are replayed is chosen now, at random, so that a forger could not know. On the run's own backend,
    versions, batch and hardware every count must agree; elsewhere differing labels are reported, and are a problem
    only under ``strict``.

    Raises:
        InputError: ``share`` is not in [0, 1], or the plan or the data cannot be used for a replay.
        BackendError: The run's backend is missing here.
    """
    if not 0 <= share <= 1:
        raise InputError(f"expected a share in [0, 1], got {share}")
    problems = [*_source_problems(run, plan, dataset), *_row_problems(run, dataset)]
    if problems or share == 0:
        return _result(run, (), True, 0, problems)
    chosen = _choose(run.rows, share)
    options = BackendOptions(
        name=run.record.backend.name,
        batch=run.record.backend.batch,
        threads=threads,
        probe_rows=run.record.backend.probe_rows,
        trust=trust,
    )
    backend = open_backend(plan, run.record.sigma, run.record.seed, options, dataset.images, dataset.indices)
    with closing(backend):
        exact = _same_engine(run, backend.info)
        differing = _replay(run, backend, dataset, chosen)
    if differing and (exact or strict):
        problems = [f"image {index}: {count} replayed labels differ" for index, count in differing.items()]
    return _result(run, chosen, exact, sum(differing.values()), problems)


def recomputed(run: Run, row: Row) -> Outcome:
    """Return what ``row``'s counts amount to, computed anew.

    Raises:
        InputError: The counts are not of the run's classes and numbers of draws.
    """
    record = run.record
    wanted = (record.n_select, record.n_estimate) if record.mode == "certify" else (record.n_estimate,)
    found = tuple(sum(counts.values()) for counts in row.counts)
    if found != wanted:
        raise InputError(f"image {row.index}: expected {wanted} draws per phase, found {found}")
    phases = [dense_counts(counts, record.classes) for counts in row.counts]
    tv = total_variation(record.noise_elements, record.sigma)
    if record.mode == "certify":
        return certificate(record.spec, tv, phases[0], phases[1])
    return prediction(record.spec, tv, phases[0])


def _source_problems(run: Run, plan: Plan, dataset: Dataset) -> Iterator[str]:
    if plan.digest != run.record.plan:
        yield f"plan {plan.directory} has digest {plan.digest}, the run was made with {run.record.plan}"
    if dataset.fingerprint != run.record.data.fingerprint:
        yield f"data {dataset.name} has fingerprint {dataset.fingerprint}, the run had {run.record.data.fingerprint}"
    if plan.digest == run.record.plan:
        elements = tuple(graph_input.elements for graph_input in plan.record.inputs)
        facts = (elements, plan.record.classes, plan.record.precision)
        if facts != (run.record.noise_elements, run.record.classes, run.record.precision):
            yield "run.json states other inputs, classes or precision than the plan has"


def _row_problems(run: Run, dataset: Dataset) -> Iterator[str]:
    if len(run.rows) != run.record.data.images:
        yield f"incomplete: {len(run.rows)} of {run.record.data.images} images; finish it with --resume"
    for row, index in zip(run.rows, dataset.indices, strict=False):
        if row.index != index or row.label != label_of(dataset, int(index)):
            yield f"image {row.index} with label {row.label}: expected image {index} with the data's label"
        try:
            expected = recomputed(run, row)
        except InputError as error:
            yield str(error)
            continue
        if expected != row.outcome:
            yield f"image {row.index}: its counts give {expected}, the line says {row.outcome}"


def _choose(rows: Sequence[Row], share: float) -> tuple[Row, ...]:
    count = max(1, math.ceil(share * len(rows)))
    return tuple(sorted(secrets.SystemRandom().sample(rows, count), key=lambda row: row.index))


def _same_engine(run: Run, here: BackendInfo) -> bool:
    stored = asdict(run.record.backend)
    return all(stored[name] == value for name, value in asdict(here).items())


def _replay(run: Run, backend: Backend, dataset: Dataset, chosen: Sequence[Row]) -> dict[int, int]:
    """Return image -> draws that got another label this time, for the images that differ."""
    position = {int(index): i for i, index in enumerate(dataset.indices)}
    jobs = (
        Job(
            image_index=row.index,
            pixels=dataset.images[position[row.index]],
            procedure=procedure_for(run.record.spec, 0.0),
        )
        for row in chosen
    )
    differing = {}
    for row, finished in zip(chosen, Scheduler(backend).run(jobs), strict=True):
        counts = [sparse_counts(finished.counts[phase]) for phase in sorted(finished.counts)]
        if found := sum(_differing(one, other) for one, other in zip(counts, row.counts, strict=True)):
            differing[row.index] = found
    return differing


def _differing(one: dict[str, int], other: dict[str, int]) -> int:
    """Return the least number of labels that must differ between two sets of counts of as many draws."""
    return int(np.sum([max(one.get(key, 0) - other.get(key, 0), 0) for key in one.keys() | other.keys()]))


def _result(run: Run, chosen: Sequence[Row], exact: bool, differing: int, problems: Sequence[str]) -> Verification:
    draws = sum(sum(counts.values()) for row in chosen for counts in row.counts)
    return Verification(
        images=len(run.rows),
        replayed=len(chosen),
        exact=exact,
        differing_labels=differing,
        replayed_draws=draws,
        problems=tuple(problems),
    )
