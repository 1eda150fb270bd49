"""A run checked afterwards: its form, its arithmetic, and (for a share of its images) its votes."""

import math
import secrets
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, fields, replace
from itertools import zip_longest

from purecert.engine.backends.base import Backend, BackendInfo, BackendOptions
from purecert.engine.backends.opening import open_backend
from purecert.engine.errors import InputError
from purecert.engine.images.datasets import Dataset
from purecert.engine.noise.contract import ESTIMATE, SELECT
from purecert.engine.plans.plan import Plan
from purecert.engine.procedures.choosing import procedure_for
from purecert.engine.procedures.conclusions import conclude
from purecert.engine.procedures.drawing import Draw, Procedure
from purecert.engine.procedures.outcomes import Outcome
from purecert.engine.procedures.spec import SmoothingSpec
from purecert.engine.records.lines import Line, dense_counts, sparse_counts
from purecert.engine.records.run import Run
from purecert.engine.records.run_record import RunRecord, make_record
from purecert.engine.running.scheduler import Job, Scheduler

# The share of one image's labels that may differ on another engine: what export admits of an FP16 plan, and as much
# again for chance in a single image.
_ELSEWHERE = 0.01


@dataclass(frozen=True, kw_only=True, slots=True)
class Verification:
    """What was checked and what was wrong."""

    spec: SmoothingSpec  # what the run claims of each image, and how its draws end
    images: int  # lines whose form and arithmetic were checked
    replayed: int  # images whose noise and graph were run again
    exact: bool | None  # the replay ran on the engine that the run names, so every vote must agree; None: no replay
    differing_labels: int  # at least this many of the replayed draws got another label
    replayed_draws: int
    plan: str  # SHA-256 of plan.json: whether that is the plan in question is for the reader to say
    data: str  # fingerprint of indices, pixels and labels
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
    versions, batch and hardware every count must agree. Elsewhere a few labels may differ and are reported; more than
    the gate of an FP16 plan would let pass, or any under ``strict``, are a problem.

    Raises:
        InputError: ``share`` is not in [0, 1], or the plan or the data cannot be used for a replay.
        BackendError: The run's backend is missing here.
    """
    if not 0 <= share <= 1:
        raise InputError(f"expected a share in [0, 1], got {share}")
    problems = _record_problems(run, plan, dataset) or list(_row_problems(run, dataset))
    if problems or share == 0:
        return _result(run, (), None, 0, problems)
    chosen = _choose(run.lines, share)
    options = BackendOptions(
        name=run.record.backend.name,
        batch=run.record.backend.batch,
        threads=threads,
        probe_rows=run.record.backend.probe_rows,
        trust=trust,
    )
    backend = open_backend(plan, run.record.spec.sigma, run.record.seed, options, dataset.images, dataset.indices)
    with closing(backend):
        exact = _same_engine(run, backend.info)
        differing, other_looks = _replay(run, backend, dataset, chosen, exact)
    allowed = 0.0 if exact or strict else _ELSEWHERE
    draws = {line.index: sum(sum(counts.values()) for counts in line.counts) for line in chosen}
    problems = [
        f"image {index}: {count} of {draws[index]} replayed labels differ"
        for index, count in differing.items()
        if count > allowed * draws[index]
    ]
    problems += [
        f"image {line.index}: replayed, its procedure looked {other_looks[line.index]} times, "
        f"the line says {line.looks}"
        for line in chosen
        if line.index in other_looks
    ]
    return _result(run, chosen, exact, sum(differing.values()), problems)


def recomputed(run: Run, line: Line) -> Outcome:
    """Return what ``line``'s counts amount to, computed anew.

    Raises:
        InputError: The counts are not of the run's classes and numbers of draws.
    """
    record = run.record
    phases = [dense_counts(counts, record.classes) for counts in line.counts]
    try:
        return conclude(record.spec, record.tv, phases, line.label)
    except InputError as error:
        raise InputError(f"image {line.index}: {error}") from error


def _record_problems(run: Run, plan: Plan, dataset: Dataset) -> list[str]:
    """Return how run.json differs from what the plan and the data make it; the host's own facts are taken from it."""
    seed, seed_given = run.record.seed, run.record.seed_given
    made = make_record(plan, dataset, run.record.spec, run.record.backend, seed=seed, seed_given=seed_given)
    expected = replace(made, purecert=run.record.purecert)
    return [
        f"run.json states {field.name} = {getattr(run.record, field.name)}, "
        f"plan and data make it {getattr(expected, field.name)}"
        for field in fields(RunRecord)
        if getattr(run.record, field.name) != getattr(expected, field.name)
    ]


def _row_problems(run: Run, dataset: Dataset) -> Iterator[str]:
    if len(run.lines) != len(dataset):
        yield f"incomplete: {len(run.lines)} of {len(dataset)} images; finish it with --resume"
        return
    for position, (line, index) in enumerate(zip(run.lines, dataset.indices, strict=True)):
        if line.index != index or line.label != dataset.label(position):
            yield f"image {line.index} with label {line.label}: expected image {index} with the data's label"
        try:
            expected = recomputed(run, line)
        except InputError as error:
            yield str(error)
            continue
        if expected != line.outcome:
            yield f"image {line.index}: its counts give {expected}, the line says {line.outcome}"


def _choose(rows: Sequence[Line], share: float) -> tuple[Line, ...]:
    count = max(1, math.ceil(share * len(rows)))
    return tuple(sorted(secrets.SystemRandom().sample(rows, count), key=lambda line: line.index))


def _same_engine(run: Run, here: BackendInfo) -> bool:
    return run.record.backend == here


def _replay(
    run: Run, backend: Backend, dataset: Dataset, chosen: Sequence[Line], exact: bool
) -> tuple[dict[int, int], dict[int, int]]:
    """Return image -> draws that got another label this time, and image -> looks, both where they differ.

    On the run's own engine the procedure itself must end as the line says. Elsewhere one label more or less may stop it
    at another draw, so as many draws are replayed as the line counts.
    """
    position = {int(index): i for i, index in enumerate(dataset.indices)}
    jobs = (
        Job(
            image_index=line.index,
            label=line.label,
            pixels=dataset.images[position[line.index]],
            procedure=procedure_for(run.record.spec, run.record.tv, line.label) if exact else _as_counted(run, line),
        )
        for line in chosen
    )
    differing, looks = {}, {}
    nothing: dict[str, int] = {}  # of a phase that only the line or only the replay has
    for line, finished in zip(chosen, Scheduler(backend).run(jobs), strict=True):
        counts = [sparse_counts(finished.counts[phase]) for phase in sorted(finished.counts)]
        if found := sum(_differing(one, other) for one, other in zip_longest(counts, line.counts, fillvalue=nothing)):
            differing[line.index] = found
        if exact and finished.looks != line.looks:
            looks[line.index] = finished.looks
    return differing, looks


def _as_counted(run: Run, line: Line) -> Procedure:
    """Draw as many of each phase as the line counts."""
    first = ESTIMATE if run.record.spec.against_label else SELECT
    for phase, counts in enumerate(line.counts, first):
        yield Draw(phase, sum(counts.values()))
    return line.outcome


def _differing(one: dict[str, int], other: dict[str, int]) -> int:
    """Return the least number of labels that must differ between two sets of counts; draws that one lacks do."""
    more = [one.get(key, 0) - other.get(key, 0) for key in one.keys() | other.keys()]
    return max(sum(max(difference, 0) for difference in more), sum(max(-difference, 0) for difference in more))


def _result(
    run: Run, chosen: Sequence[Line], exact: bool | None, differing: int, problems: Sequence[str]
) -> Verification:
    draws = sum(sum(counts.values()) for line in chosen for counts in line.counts)
    return Verification(
        spec=run.record.spec,
        images=len(run.lines),
        replayed=len(chosen),
        exact=exact,
        differing_labels=differing,
        replayed_draws=draws,
        plan=run.record.plan,
        data=run.record.data.fingerprint,
        problems=tuple(problems),
    )
